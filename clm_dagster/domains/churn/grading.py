"""Checks of tables that SQL makes: whether past scores kept their promise, whether the bands are sound.

Belongs here: what those checks say. Does not: grades themselves (marts.model_scorecard), the checks of what
this room's Python writes (`checks`).
"""

from clm_dagster.domains.churn.bands import risk_band_problems
from clm_dagster.domains.churn.settings import ChurnSettings
from clm_dagster.platform.assets.model_assets import Finding, ModelCheck
from clm_dagster.platform.warehouse import Connection


def grade_check(settings: ChurnSettings) -> ModelCheck:
    """Make the check of marts.model_scorecard, with the thresholds that the settings name."""

    def check(connection: Connection) -> Finding:
        """The newest graded scores rank and hold about as well as their model's test promised."""
        rows = connection.execute(
            """
            select as_of::date, metric, value, promised,
                case when metric = 'roc_auc' then promised - value else value - promised end as worse
            from marts.model_scorecard
            where metric in ('roc_auc', 'calibration_error') and value is not null and promised is not null
            qualify as_of = max(as_of) over ()
            order by metric
            """
        )
        problems = [
            f"scores of {as_of}: {metric} {value:.3f}, promised {promised:.3f}; worse by {worse:.3f} "
            f"(warning from {settings.grade_warn:g}, failing from {settings.grade_fail:g})"
            for as_of, metric, value, promised, worse in rows
            if worse >= settings.grade_warn
        ]
        return Finding(problems, fails=any(row[4] >= settings.grade_fail for row in rows))

    return check


def band_check(connection: Connection, relation: str) -> list[str]:
    """Every probability from 0 to 1 has exactly one band."""
    return risk_band_problems(connection.frame(f"select * from {relation}"))
