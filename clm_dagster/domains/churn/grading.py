"""Checks of churn tables that SQL or a seed makes: grades of past scores, and risk bands.

Belongs here: these checks. Does not belong here: the grades themselves (marts.churn_scorecard), checks of tables that
this domain's Python writes (`checks`).
"""

from clm_dagster.domains.churn.bands import risk_band_problems
from clm_dagster.domains.churn.settings import ChurnSettings
from clm_dagster.platform.assets.model_assets import Finding, ModelCheck
from clm_dagster.platform.warehouse import Connection


def grade_check(settings: ChurnSettings) -> ModelCheck:
    """Return the check of marts.churn_scorecard, with the thresholds from the settings."""

    def check(connection: Connection) -> Finding:
        """The newest graded scores are about as accurate and as well calibrated as their model in its test."""
        rows = connection.execute(
            """
            select as_of::date, metric, value, promised,
                case when metric = 'roc_auc' then promised - value else value - promised end as worse
            from marts.churn_scorecard
            where metric in ('roc_auc', 'calibration_error') and value is not null and promised is not null
            qualify as_of = max(as_of) over ()
            order by metric
            """
        )
        problems = [
            f"scores of {as_of}: {metric} is {value:.3f}, in the model's test {promised:.3f}; worse by {worse:.3f} "
            f"(warning from {settings.grade_warn:g}, failing from {settings.grade_fail:g})"
            for as_of, metric, value, promised, worse in rows
            if worse >= settings.grade_warn
        ]
        return Finding(problems, fails=any(row[4] >= settings.grade_fail for row in rows))

    return check


def band_check(connection: Connection, relation: str) -> list[str]:
    """Every probability from 0 to 1 has exactly one band."""
    return risk_band_problems(connection.frame(f"select * from {relation}"))
