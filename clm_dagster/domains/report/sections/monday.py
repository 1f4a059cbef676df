"""Monday's page: what changed, what to do, what may not be trusted."""

from clm_dagster.domains.report.names import OPTIONAL_MODELS
from clm_dagster.domains.report.reading import PageReading, Row
from clm_dagster.domains.report.section import Point, Points, Section
from clm_dagster.domains.report.sections.churn import section as churn
from clm_dagster.domains.report.sections.customers import section as customers
from clm_dagster.domains.report.sections.models import serving_rows
from clm_dagster.domains.report.sections.plan import planned, sums_by_play
from clm_dagster.domains.report.sections.quality import ledger
from clm_dagster.domains.report.sections.revenue import section as revenue
from clm_dagster.domains.report.sections.segments import section as segments
from clm_dagster.domains.report.sections.stages import section as stages
from clm_dagster.domains.report.words import Words

_FACTS, _ACTIONS = 5, 4
# Sections of facts that say what to do and what not to rely on, not what changed.
_OTHERS = ("actions", "trust")
# The share of rejected rows from which on it is a warning.
_REJECTED = 0.02


def section(reading: PageReading, words: Words) -> Section | None:
    """Return the section."""
    facts = _facts(reading, words)
    changed = [_point(words, row) for row in facts if row["section"] not in _OTHERS][:_FACTS]
    summary = [row["said"] for row in facts if row["fact"] == "summary"]
    doubts = (
        [Point(row["said"], row["chart"], is_alert=True) for row in facts if _is_doubt(row)]
        if facts
        else _doubts(reading, words)
    )
    lists = [
        Points(
            words("monday.changed"),
            changed if facts else _leads(reading, words),
            is_numbered=True,
            empty=words("monday.no_facts"),
        ),
        Points(
            words("monday.to_do"),
            _planned(reading, words) or _actions(reading, words),
            empty=words("monday.no_plan"),
        ),
        Points(words("monday.doubts"), doubts, empty=summary[0] if summary else words("monday.no_doubts")),
    ]
    return Section("monday", words("monday.title"), words("monday.lead", as_of=reading.as_of), lists)


def _facts(reading: PageReading, words: Words) -> list[Row]:
    """Return the facts of this as_of in this language, the most important first; none for an older copy."""
    relation, sentence = "marts.report_facts", f"sentence_{words.wording.language}"
    if not reading.has_columns(relation, sentence, "rank", "chart", "is_trusted"):
        return []
    return reading.rows(
        f"select section, fact, {sentence} as said, chart, is_trusted from {relation} "
        "where as_of = $as_of and (rank <= 7 or section = 'trust') order by rank"
    )


def _planned(reading: PageReading, words: Words) -> list[Point]:
    """Return the sentence of the plan, which names its best line, and the next lines; none for a copy without facts."""
    relation, sentence = "marts.report_facts", f"sentence_{words.wording.language}"
    if not reading.has_columns(relation, sentence, "subject", "value"):
        return []
    rows = reading.rows(
        f"select fact, {sentence} as said from {relation} where as_of = $as_of and section = 'actions' "
        "and fact in ('planned', 'expected_gain_of_play') order by fact = 'planned' desc, value desc, subject"
    )
    # The first line after the sum is that which the sum names already.
    shown = [*rows[:1], *rows[2 : 1 + _ACTIONS]]
    return [Point(row["said"], "plan" if row["fact"] == "planned" else "planned_actions") for row in shown]


def _is_doubt(row: Row) -> bool:
    return row["section"] == "trust" and row["fact"] != "summary" and not row["is_trusted"]


def _point(words: Words, row: Row) -> Point:
    return Point(row["said"], row["chart"] or "", "" if row["is_trusted"] else words("monday.not_trusted"))


def _leads(reading: PageReading, words: Words) -> list[Point]:
    """Return what sections say first, for a copy that was published without facts."""
    found = [build(reading, words) for build in (revenue, customers, segments, stages, churn)]
    return [Point(part.lead, part.anchor) for part in found if part is not None and part.lead]


def _actions(reading: PageReading, words: Words) -> list[Point]:
    totals = sums_by_play(planned(reading))
    return [
        Point(
            words(
                "monday.action",
                play=words.name("play", row["play"]),
                n=row["customers"],
                channel=words.name("channel", row["channel"]),
                gain=words.money(row["expected_gain"]),
                cost=words.money(row["expected_cost"]),
            ),
            "planned_actions",
        )
        for row in totals[:_ACTIONS]
    ]


def _doubts(reading: PageReading, words: Words) -> list[Point]:
    found = []
    rows = ledger(reading)
    events = next((row for row in rows if row["contract_table"] == "events"), None)
    if events is not None and events["newest_day"] is not None:
        late = (reading.as_of.date() - events["newest_day"]).days - 1
        if late > 0:
            found.append(
                Point(words("monday.late", n=late, day=events["newest_day"]), "ledger", is_alert=True)
            )
    for row in rows:
        if row["delivered"] and row["rejected"] / row["delivered"] > _REJECTED:
            found.append(
                Point(
                    words(
                        "monday.rejected",
                        table=words.name("contract_table", row["contract_table"]),
                        share=words.wording.percent(row["rejected"] / row["delivered"]),
                        n=row["rejected"],
                    ),
                    "rejects",
                    is_alert=True,
                )
            )
    for row in serving_rows(reading):
        if not row["is_champion"] and (row["model_name"] or row["model"] not in OPTIONAL_MODELS):
            part = words.name("part", row["part"])
            model = words.name("model", row["model"])
            named = model if row["part"] == "all" else words("monday.part", model=model, part=part)
            key = "baseline_serves" if row["model_name"] else "not_predicted"
            found.append(Point(words(f"monday.{key}", model=named), "serving", is_alert=True))
    if reading.newest("marts.churn_scores") not in (None, reading.as_of):
        found.append(
            Point(words("monday.old_scores", day=reading.newest("marts.churn_scores")), is_alert=True)
        )
    return found
