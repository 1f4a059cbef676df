"""Functions that the engine of trained models calls to train the uplift model.

Belongs here: these functions. Does not: the definition of the model (`tables`), the contest (`contest`), queries
(`sample`), rows of tables (`report`), metadata and plots (`notes`).
"""

from clm_dagster.domains.actions.uplift.contest import UpliftResult, hold_contest
from clm_dagster.domains.actions.uplift.sample import Sample
from clm_dagster.domains.actions.uplift.table_settings import UpliftSettings
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.statistics.evaluation import Verdict


def evaluate(work: Work[UpliftSettings], inputs: Sample) -> UpliftResult:
    """Hold the contest."""
    return hold_contest(inputs, work.settings.horizon_days, work.log)


def verdict(_: Sample, result: UpliftResult, champion: None, is_newest: bool) -> Verdict:
    """Return whether the model becomes champion."""
    return result.verdict(is_newest)
