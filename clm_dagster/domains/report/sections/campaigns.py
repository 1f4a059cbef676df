"""Campaigns and their measured effect against a random control group."""

from clm_dagster.domains.report.coded import status_of
from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Column, Figure, Kind, Section, Table
from clm_dagster.domains.report.specs import chart, names, quantity, tooltip
from clm_dagster.domains.report.words import Words, brief, number, table_rows

# Campaigns of a chart, the newest ones; the table has them all.
_MOST = 14


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section; None where no campaign has a control group."""
    relation = "marts.campaign_results"
    newest = reading.newest(relation)
    if newest is None:
        return None
    rows = reading.rows(
        f"select * exclude (as_of) from {relation} where as_of = $at "
        "order by first_contact_on desc, campaign_id, arm, basis desc",
        at=newest,
    )
    measured = [row for row in rows if row["status"] == "measured" and row["effect"] is not None]
    waiting = {(row["basis"], row["campaign_id"], row["arm"]) for row in rows if row["status"] != "measured"}
    found = [row for row in measured if row["metric"] == "conversion"]
    clear = [row for row in found if row["is_discovery"]]
    if found:
        lead = words("campaigns.lead", n=len(found), clear=len(clear))
    else:
        lead = words("campaigns.none_measured", n=len(waiting))
    figures = [_figure(words, metric, measured) for metric in ("conversion", "revenue")]
    return Section(
        "campaigns",
        words("campaigns.title"),
        lead,
        figures=[*(figure for figure in figures if figure is not None), _all(words, rows)],
    )


def _figure(words: Words, metric: str, measured: list[Row]) -> Figure | None:
    rows = [row for row in measured if row["metric"] == metric]
    if not rows:
        return None
    kind: Kind = "money" if metric == "revenue" else "points"
    columns = [
        words.column("campaign_id", codes="play"),
        words.column("basis", codes="basis"),
        words.column("arm", codes="arm"),
        words.column("first_contact_on", "day"),
        words.column("customers", "count"),
        *(words.column(name, kind) for name in ("effect", "effect_low", "effect_high")),
        words.column("is_discovery", codes="clear"),
    ]
    data = [{**row, "is_discovery": "yes" if row["is_discovery"] else "no"} for row in rows]
    labels = _labels(words, rows)
    scale = 1.0 if metric == "revenue" else 100.0
    shown = [
        {
            "label": labels[row["basis"], row["campaign_id"], row["arm"]],
            "effect": number(row["effect"]) * scale,
            "low": None if row["effect_low"] is None else number(row["effect_low"]) * scale,
            "high": None if row["effect_high"] is None else number(row["effect_high"]) * scale,
            "clear": bool(row["is_discovery"]),
            "said": words.text(kind, row["effect"]),
            "said_range": words(
                "campaigns.range",
                low=words.text(kind, row["effect_low"]),
                high=words.text(kind, row["effect_high"]),
            ),
            "people": words.wording.number(row["customers"]),
        }
        for row in rows[:_MOST]
    ]
    best = max(rows, key=lambda row: number(row["effect"]))
    sentence = words(
        "campaigns.sentence",
        campaign=brief(words.name("play", best["campaign_id"])),
        arm=brief(words.name("arm", best["arm"])),
        effect=words.text(kind, best["effect"]),
        low=words.text(kind, best["effect_low"]),
        high=words.text(kind, best["effect_high"]),
    )
    y = names(
        "label",
        [str(row["label"]) for row in shown],
        axis={"ticks": False, "domain": False, "labelLimit": 260},
    )
    colour = {"condition": {"test": "datum.clear", "value": "$good"}, "value": "$muted"}
    tips = tooltip(
        label=words("columns.campaign_id"),
        said=words("columns.effect"),
        said_range=words("campaigns.interval"),
        people=words("columns.customers"),
    )
    spec = chart(
        shown,
        layer=[
            {
                "data": {"values": [{"zero": 0}]},
                "mark": {"type": "rule", "color": "$ink", "strokeDash": [3, 3]},
                "encoding": {"x": {"field": "zero", "type": "quantitative"}},
            },
            {
                "mark": {"type": "rule", "strokeWidth": 2.5},
                "encoding": {
                    "y": y,
                    "x": quantity("low", words(f"campaigns.axis_{metric}"), axis={"format": ",.3~f"}),
                    "x2": {"field": "high"},
                    "color": colour,
                    "tooltip": tips,
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
                "encoding": {
                    "y": y,
                    "x": quantity("effect", axis={"format": ",.3~f"}),
                    "color": colour,
                    "tooltip": tips,
                },
            },
        ],
    )
    left_out = len(rows) - len(shown)
    note = words.joined(
        [words("campaigns.note"), *([words("campaigns.left_out", n=left_out)] if left_out else [])]
    )
    return Figure(
        f"campaign_{metric}",
        words(f"campaigns.chart_{metric}"),
        sentence,
        Table(columns, table_rows(data, columns)),
        spec,
        70 + 26 * len(shown),
        note,
    )


def _labels(words: Words, rows: list[Row]) -> dict[tuple[str, str, str], str]:
    """Return the label of each effect, by basis, campaign and arm: each once, or two effects would share a line.

    A shop that delivers its contacts under the names of the plan has a campaign twice. Long names may begin alike.
    """
    found: dict[tuple[str, str, str], str] = {}
    for row in rows:
        label = f"{brief(words.name('play', row['campaign_id']), 28)} · {brief(words.name('arm', row['arm']), 28)}"
        if label in found.values():
            label = f"{label} · {words.name('basis', row['basis'])}"
        number_of_label = sum(
            1 for other in found.values() if other == label or other.startswith(f"{label} (")
        )
        key = (row["basis"], row["campaign_id"], row["arm"])
        found[key] = f"{label} ({number_of_label + 1})" if number_of_label else label
    return found


def _all(words: Words, rows: list[Row]) -> Figure:
    columns = [
        words.column("campaign_id", codes="play"),
        words.column("basis", codes="basis"),
        words.column("arm", codes="arm"),
        *words.columns(customers="count", control_customers="count", waiting_customers="count"),
        *words.columns(cost="money", return_on_spend="number"),
        Column("status", words("columns.status"), "text", lambda status: status_of(words, status)),
    ]
    # Revenue has what both metrics share, and the return on the cost.
    rows = [row for row in rows if row["metric"] == "revenue"]
    waiting = sum(1 for row in rows if row["status"] != "measured")
    sentence = words("campaigns.all_sentence", n=waiting)
    return Figure(
        "campaign_status", words("campaigns.all"), sentence, Table(columns, table_rows(rows, columns))
    )
