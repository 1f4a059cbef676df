"""The customers of each custom segment: the rows of `marts.custom_segments`.

Belongs here: evaluating the rules of a snapshot. Does not: the rules (`segment_rules`), their history (`rule_history`).
"""

import dagster as dg
import duckdb
import pandas as pd

from clm_dagster.domains.actions.late_views import rows_of_view
from clm_dagster.domains.actions.names import PROFILES
from clm_dagster.domains.actions.rule_history import rules_at
from clm_dagster.domains.actions.segment_rules import FILE, SegmentRule
from clm_dagster.domains.actions.table_settings import SegmentTableSettings
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.markdown import markdown_table
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.platform.warehouse import Connection


def read_segments(reading: Reading[SegmentTableSettings]) -> dict[SegmentRule, pd.Series]:
    """Return the customers of each segment under the rule that holds at the snapshot. Raise ProjectError."""
    connection = reading.connection
    with connection.transaction():
        rules = rules_at(connection, reading.settings.rules, reading.as_of, reading.partition.is_newest)
    with rows_of_view(reading, PROFILES, reading.partition.where) as current:
        return {rule: _customers(connection, current, rule) for rule in rules}


def _customers(connection: Connection, current: str, rule: SegmentRule) -> pd.Series:
    try:
        found = connection.frame(
            f"select customer_id from {current} where ({rule.condition}\n) order by customer_id"
        )
    except duckdb.Error as error:
        raise ProjectError(
            f"{FILE}: the condition of segment {rule.name} failed on the customers: {str(error).splitlines()[0]}"
        ) from error
    return found["customer_id"]


def segment_rows(work: Work[SegmentTableSettings], inputs: dict[SegmentRule, pd.Series]) -> TableOutput:
    """Return one row for each segment and customer."""
    parts = [
        pd.DataFrame({"segment": rule.name, "customer_id": customers, "rule_version": rule.version})
        for rule, customers in inputs.items()
    ]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=work.columns)
    sizes = [[rule.name, len(customers), rule.condition] for rule, customers in inputs.items()]
    return TableOutput(
        rows,
        {
            "segments": len(inputs),
            "sizes": dg.MetadataValue.md(markdown_table(["segment", "customers", "condition"], sizes)),
        },
    )
