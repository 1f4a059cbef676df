"""All facts of one as_of as rows of `marts.report_facts`.

Belongs here: collecting facts, saying them in all languages, the step. Does not: facts of a topic, their choice.
"""

from dataclasses import replace
from typing import Any

import dagster as dg
import pandas as pd

from clm_dagster.domains.report.choosing import ranked
from clm_dagster.domains.report.customer_facts import customer_facts
from clm_dagster.domains.report.fact import Fact
from clm_dagster.domains.report.fact_inputs import FactInputs
from clm_dagster.domains.report.fact_settings import FactSettings
from clm_dagster.domains.report.names import COUNT, MONDAY, SHARE
from clm_dagster.domains.report.plan_facts import plan_facts
from clm_dagster.domains.report.sales_facts import sales_facts
from clm_dagster.domains.report.sentences import Speech
from clm_dagster.domains.report.trust_facts import trust_facts
from clm_dagster.domains.report.wording import Wording
from clm_dagster.platform.markdown import markdown_table
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Work

# Facts that are wrong if days or rows are missing.
_OF_DATA = frozenset({"revenue", "customers", "segments", "lifecycle", "funnel"})
_DOUBTS_OF_DATA = frozenset({"data_late", "rejected_share"})


def facts_of(inputs: FactInputs) -> list[Fact]:
    """Return all facts, the headlines first."""
    trust = list(trust_facts(inputs))
    is_doubtful = any(fact.fact in _DOUBTS_OF_DATA and not fact.is_trusted for fact in trust)
    found = [*sales_facts(inputs), *customer_facts(inputs), *plan_facts(inputs)]
    if is_doubtful:
        found = [replace(one, is_trusted=False) if one.section in _OF_DATA else one for one in found]
    return ranked([*found, *trust])


def fact_rows(facts: list[Fact], speeches: dict[str, Speech], currency: str) -> pd.DataFrame:
    """Return the rows of facts in their order. speeches: by code of the language."""
    rows = []
    for rank, fact in enumerate(facts, start=1):
        compared = fact.compared
        row: dict[str, Any] = {
            "section": fact.section,
            "fact": fact.fact,
            "subject": fact.subject,
            "unit": fact.unit,
            "currency": currency or None,
            "value": fact.amount,
            "value_week_ago": compared.week_ago if compared else None,
            "value_4_weeks_ago": compared.four_weeks_ago if compared else None,
            "change_week": compared.change_week if compared else None,
            "change_4_weeks": compared.change_4_weeks if compared else None,
            "is_change_week": compared.is_change_week if compared else None,
            "is_change_4_weeks": compared.is_change_4_weeks if compared else None,
            "low": _low(fact),
            "high": fact.high if fact.high is not None else compared.high if compared else None,
            "rank": rank,
            "chart": fact.chart,
            "is_trusted": fact.is_trusted,
        }
        rows.append(
            row | {f"sentence_{code}": fact.sentence.text(speech) for code, speech in speeches.items()}
        )
    return pd.DataFrame(rows)


def _low(fact: Fact) -> float | None:
    """Return the lower bound; what is counted is never below zero."""
    low = fact.low if fact.low is not None else fact.compared.low if fact.compared else None
    return max(low, 0.0) if low is not None and fact.unit in (COUNT, SHARE) else low


def report_facts(work: Work[FactSettings], inputs: FactInputs) -> TableOutput:
    """Return the facts of a snapshot, with its headlines as metadata."""
    currency = work.settings.currency or inputs.currency
    speeches = {code: Speech(Wording.of(code), currency) for code in work.settings.languages}
    rows = fact_rows(facts_of(inputs), speeches, currency)
    shown = rows.head(MONDAY)
    headlines = [[rank, text] for rank, text in zip(shown["rank"], shown["sentence_en"], strict=True)]
    return TableOutput(
        rows[work.columns],
        {
            "facts": len(rows),
            "changes": int((rows["is_change_week"] == True).sum()),  # noqa: E712
            "not_trusted": int((~rows["is_trusted"]).sum()),
            "headlines": dg.MetadataValue.md(markdown_table(["rank", "sentence"], headlines)),
        },
    )
