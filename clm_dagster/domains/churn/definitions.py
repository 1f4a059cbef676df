"""Dagster definitions of the churn domain.

Belongs here: the list of tables, charts and checks. Does not belong here: their implementation.
"""

from clm_dagster.domains.churn.asset_charts import fairness_chart, scorecard_chart
from clm_dagster.domains.churn.checks import HEADLINES
from clm_dagster.domains.churn.grading import band_check, grade_check
from clm_dagster.domains.churn.settings import ChurnSettings
from clm_dagster.domains.churn.tables import churn_tables
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Return the tables (trained model, scores, drift), the charts, and the checks of grades and bands."""
    grades = grade_check(shop.settings.of(ChurnSettings))
    return Domain(
        name="churn",
        tables=churn_tables(shop.project, shop.settings),
        charts={"marts.churn_fairness": fairness_chart, "marts.churn_scorecard": scorecard_chart},
        checks={"marts.churn_scorecard": {"scores_keep_their_promise": grades}},
        seed_checks={"risk_bands": {"bands_cover_every_probability": band_check}},
        headlines=HEADLINES,
    )
