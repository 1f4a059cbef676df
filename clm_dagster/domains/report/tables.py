"""The Python table of the report: its facts.

Belongs here: what it reads and which functions compute it. Does not: those functions.
"""

from typing import TYPE_CHECKING

from clm_dagster.domains.report.fact_settings import FactSettings
from clm_dagster.domains.report.names import FACTS
from clm_dagster.domains.report.wording import Wording, languages
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.python_tables.tables import AnyTable, PythonTable
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from clm_dagster.domains.report.fact_queries import read_facts
    from clm_dagster.domains.report.facts import report_facts
else:
    (read_facts,) = late_functions("clm_dagster.domains.report.fact_queries", "read_facts")
    (report_facts,) = late_functions("clm_dagster.domains.report.facts", "report_facts")

_READS = (
    "totals_daily",
    "customer_daily",
    "channel_daily",
    "order_days",
    "customer_identities",
    "customer_features",
    "rfm_states",
    "stage_states",
    "segment_moves",
    "stg_products",
    "stg_reviews",
    "risk_bands",
    "marts.churn_scores",
    "marts.feature_drift",
    "marts.demand_forecasts",
    "marts.reorder_points",
    "marts.next_best_actions",
    "marts.campaign_results",
)


def report_tables(project: Project, settings: Settings) -> list[AnyTable]:
    """Return the table of facts."""
    return [
        PythonTable.of(
            project,
            FACTS,
            _READS,
            read_facts,
            report_facts,
            fact_settings(settings),
            weeks_back=(1, 2, 4, 5),
            is_record=True,
        )
    ]


def fact_settings(settings: Settings) -> FactSettings:
    """Return what facts depend on."""
    codes = languages()
    wording = "-".join(Wording.of(code).digest for code in codes)
    return FactSettings(settings.currency, codes, wording)
