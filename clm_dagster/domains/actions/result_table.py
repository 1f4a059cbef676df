"""The table of campaign results: what it reads, its metadata and its checks.

Belongs here: the step. Does not: the results (`measurement`), SQL (`result_queries`).
"""

from dataclasses import dataclass

import dagster as dg
import pandas as pd

from clm_dagster.domains.actions.checks import check_results
from clm_dagster.domains.actions.late_views import rows_of_view
from clm_dagster.domains.actions.measurement import MEASURED, campaigns_of, result_rows
from clm_dagster.domains.actions.result_queries import read_arm_days, read_arms, read_planned_shares
from clm_dagster.domains.actions.table_settings import ResultSettings
from clm_dagster.platform.markdown import markdown_table
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work

_SHOWN = 30


@dataclass(frozen=True)
class ResultInputs:
    """Inputs of results: sums by arm, customers by arm and day, planned shares."""

    arms: pd.DataFrame
    days: pd.DataFrame
    shares: pd.DataFrame


def read_results(reading: Reading[ResultSettings]) -> ResultInputs:
    """Read the outcomes of all campaigns before as_of."""
    before = f"contacted_on < date '{reading.day}' and arm is not null"
    with rows_of_view(reading, "campaign_outcomes", before) as outcomes:
        return ResultInputs(
            read_arms(reading, outcomes), read_arm_days(reading, outcomes), read_planned_shares(reading)
        )


def campaign_results(work: Work[ResultSettings], inputs: ResultInputs) -> TableOutput:
    """Return the results so far of all campaigns with a control arm. Raise dg.Failure for shares that do not fit."""
    try:
        campaigns = campaigns_of(inputs.arms, inputs.days, inputs.shares, work.settings)
    except ValueError as error:
        raise dg.Failure(str(error)) from error
    rows = result_rows(campaigns, work.settings)
    if rows.empty:
        rows = pd.DataFrame(columns=work.columns)
    measured = rows[rows["status"] == MEASURED]
    return TableOutput(
        rows[work.columns],
        {
            "campaigns": len(campaigns),
            "measured": int(measured["campaign_id"].nunique()),
            "discoveries": int(rows["is_discovery"].sum()) if len(rows) else 0,
            "largest": dg.MetadataValue.md(_table(measured)),
        },
        check_results(work.label, campaigns),
    )


def _table(rows: pd.DataFrame) -> str:
    """Return the results with the most customers as a Markdown table."""
    shown = rows.sort_values(
        ["customers", "campaign_id", "arm", "metric"], ascending=[False, True, True, True]
    )
    lines = [
        [
            row["campaign_id"],
            row["arm"],
            row["metric"],
            row["customers"],
            f"{row['effect']:+.4f} [{row['anytime_low']:+.4f}, {row['anytime_high']:+.4f}]",
            "yes" if row["is_discovery"] else "no",
        ]
        for row in shown.head(_SHOWN).to_dict("records")
    ]
    return markdown_table(
        ["campaign", "arm", "metric", "customers", "effect, anytime interval", "discovery"], lines
    )
