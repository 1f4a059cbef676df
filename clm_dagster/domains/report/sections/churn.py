"""Churn risk against value, and the customers to call."""

from collections.abc import Sequence

from clm_dagster.domains.report.coded import reason_of
from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Column, Figure, Section, Table
from clm_dagster.domains.report.specs import chart, names, tooltip
from clm_dagster.domains.report.words import Words, by_segment, number, table_rows

_BANDS = ("low", "medium", "high", "very_high")
# What marts.customer_profiles consists of; the view joins more than is shown here.
_PROFILES = ("core.rfm_states", "marts.customer_value", "core.customer_features")
_TIERS = ("vip", "regular", "potential", "low")
# The strongest of a customer's reasons that raises the risk; a reason that lowers it is none to call.
_RISE = """
    replace(
        list_filter([scores.reason_1, scores.reason_2, scores.reason_3], lambda r: starts_with(r, 'raises risk: '))[1],
        'raises risk: ', ''
    ) as reason
"""
# Customers of the list: of all segments, and of each, for the choice of a segment.
_MOST, _MOST_OF_SEGMENT = 20, 10


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None where no churn model or baseline has scored the snapshot."""
    if reading.newest("marts.churn_scores") != reading.as_of or not reading.has(*_PROFILES):
        return None
    cells = _cells(reading)
    if not cells:
        return None
    customers = sum(row["customers"] for row in cells)
    risky = sum(row["customers"] for row in cells if row["risk_band"] in ("high", "very_high"))
    horizon = cells[0]["horizon_days"]
    lead = words(
        "churn.lead",
        n=risky,
        customers=customers,
        days=horizon,
        loss=words.money(sum(number(row["expected_loss"]) for row in cells)),
    )
    figures = [_grid(words, cells), *_to_call(reading, words)]
    return Section("churn", words("churn.title"), lead, figures=figures)


def _cells(reading: PageReading) -> list[Row]:
    return reading.rows(
        """
        select
            coalesce(states.segment, 'none') as segment,
            scores.risk_band,
            coalesce(customer_value.value_tier, 'unknown') as value_tier,
            count(*) as customers,
            coalesce(sum(customer_value.expected_revenue), 0)::double as expected_revenue,
            coalesce(sum(scores.expected_loss), 0)::double as expected_loss,
            max(scores.horizon_days) as horizon_days
        from marts.churn_scores as scores
        left join core.rfm_states as states
            on scores.as_of = states.as_of and scores.customer_id = states.customer_id
        left join marts.customer_value as customer_value
            on scores.as_of = customer_value.as_of and scores.customer_id = customer_value.customer_id
        where scores.as_of = $as_of
        group by 1, 2, 3 order by 1, 2, 3
        """
    )


def _grid(words: Words, cells: list[Row]) -> Figure:
    columns = [
        words.column("segment", codes="segment"),
        words.column("risk_band", codes="risk_band"),
        words.column("value_tier", codes="value_tier"),
        *words.columns(customers="count", expected_revenue="money", expected_loss="money"),
    ]
    rows = [
        {
            "segment": row["segment"],
            "band": words.name("risk_band", row["risk_band"]),
            "tier": words.name("value_tier", row["value_tier"]),
            "customers": row["customers"],
            "loss": row["expected_loss"],
        }
        for row in cells
    ]
    bands = [words.name("risk_band", band) for band in _BANDS]
    tiers = [words.name("value_tier", tier) for tier in (*_TIERS, "unknown")]
    used = {row["tier"] for row in rows}
    axis = {"ticks": False, "domain": False, "labelAngle": 0}
    spec = chart(
        rows,
        follows_segment=True,
        params=[{"name": "split", "value": "$ramp_split"}],
        transform=[
            {
                "aggregate": [
                    {"op": "sum", "field": "customers", "as": "people"},
                    {"op": "sum", "field": "loss", "as": "lost"},
                ],
                "groupby": ["band", "tier"],
            },
            {"joinaggregate": [{"op": "max", "field": "lost", "as": "most"}]},
            {"calculate": "format(datum.people, ',')", "as": "said"},
            {"calculate": "format(datum.lost, ',.0f')", "as": "said_loss"},
        ],
        encoding={
            "x": names("band", bands, title=words("columns.risk_band"), axis=axis, scale={"domain": bands}),
            "y": names(
                "tier",
                title=words("columns.value_tier"),
                axis=axis,
                scale={"domain": [tier for tier in tiers if tier in used]},
            ),
        },
        layer=[
            {
                "mark": {"type": "rect", "stroke": "$card", "strokeWidth": 2, "cornerRadius": 3},
                "encoding": {
                    "color": {
                        "field": "lost",
                        "type": "quantitative",
                        "scale": {"range": "$ramp", "zero": True, "nice": False},
                        "legend": None,
                    },
                    "tooltip": tooltip(
                        tier=words("columns.value_tier"),
                        band=words("columns.risk_band"),
                        said=words("columns.customers"),
                        said_loss=words("columns.expected_loss"),
                    ),
                },
            },
            {
                "mark": {"type": "text", "fontSize": 13, "fontWeight": 600},
                "encoding": {
                    "text": {"field": "said", "type": "nominal"},
                    "color": {
                        "condition": {
                            "test": "datum.lost > toNumber(split) * datum.most",
                            "value": "$on_ramp",
                        },
                        "value": "$ink",
                    },
                },
            },
        ],
    )
    table = Table(columns, table_rows(cells, columns), "segment")
    return Figure(
        "churn_grid",
        words("churn.chart"),
        _most_at_stake(words, cells),
        table,
        spec,
        260,
        words("churn.note"),
        segment_sentences=by_segment(cells, lambda own: _most_at_stake(words, own)),
    )


def _most_at_stake(words: Words, cells: Sequence[Row]) -> str:
    """Return the sentence about the cell with the largest expected loss."""
    sums: dict[tuple[str, str], float] = {}
    for row in cells:
        place = row["risk_band"], row["value_tier"]
        sums[place] = sums.get(place, 0.0) + number(row["expected_loss"])
    band, tier = max(sums, key=lambda place: sums[place])
    return words(
        "churn.sentence",
        band=words.name("risk_band", band),
        tier=words.name("value_tier", tier),
        loss=words.money(sums[band, tier]),
    )


def _to_call(reading: PageReading, words: Words) -> list[Figure]:
    """Return the list of customers to call: those with most to lose, of those whom a plan may contact."""
    may_be_contacted, note = "", "churn.list_note"
    if reading.newest("marts.next_best_actions") == reading.as_of:
        may_be_contacted = """
            inner join marts.next_best_actions as plan
                on scores.as_of = plan.as_of and scores.customer_id = plan.customer_id and plan.arm = 'treated'
        """
        note = "churn.list_note_planned"
    rows = reading.rows(
        f"""
        select
            scores.customer_id,
            coalesce(states.segment, 'none') as segment,
            scores.churn_probability,
            scores.expected_loss,
            features.recency_days,
            features.orders,
            {_RISE}
        from marts.churn_scores as scores
        inner join core.customer_features as features
            on scores.as_of = features.as_of and scores.customer_id = features.customer_id
        left join core.rfm_states as states
            on scores.as_of = states.as_of and scores.customer_id = states.customer_id
        {may_be_contacted}
        where scores.as_of = $as_of and scores.expected_loss > 0
        qualify
            row_number() over (order by scores.expected_loss desc, scores.customer_id) <= {_MOST}
            or row_number() over (
                partition by states.segment order by scores.expected_loss desc, scores.customer_id
            ) <= {_MOST_OF_SEGMENT}
        order by scores.expected_loss desc, scores.customer_id
        """
    )
    if not rows:
        return []
    rows = [{**row, "customer": reading.customer(row["customer_id"])} for row in rows]
    columns = [
        words.column("customer", "id"),
        words.column("segment", codes="segment"),
        *words.columns(
            churn_probability="percent",
            expected_loss="money",
            recency_days="count",
            orders="count",
        ),
        Column("reason", words("columns.reason"), "text", lambda reason: reason_of(words, reason)),
    ]
    table = Table(columns, table_rows(rows, columns), "segment", most=_MOST)
    return [
        Figure(
            "to_call",
            words("churn.list"),
            _listed(words, rows),
            table,
            note=words(note),
            segment_sentences=by_segment(rows, lambda own: _listed(words, own)),
        )
    ]


def _listed(words: Words, rows: Sequence[Row]) -> str:
    """Return the sentence about the customers of the list that are shown at a time."""
    shown = rows[:_MOST]
    loss = words.money(sum(number(row["expected_loss"]) for row in shown))
    return words("churn.list_sentence", n=len(shown), loss=loss)
