"""What is wrong in a shop at one time.

Belongs here: putting together what the single sources find. Does not: what was sent before (`memory`).
"""

from datetime import datetime, timedelta

import dagster as dg

from clm_dagster.platform.alerts.failed_checks import failed_checks
from clm_dagster.platform.alerts.failed_runs import failed_runs
from clm_dagster.platform.alerts.problems import Findings, is_at_least
from clm_dagster.platform.alerts.stale import StaleReader
from clm_dagster.platform.alerts.watched import Watched

# Dagster stores events in batches: one may be stored later than another one that is younger.
OVERLAP = timedelta(minutes=15)


def collect(
    watched: Watched,
    stale: StaleReader,
    instance: dg.DagsterInstance,
    now: datetime,
    first: datetime,
    after: datetime,
) -> Findings:
    """Return all problems of a shop that are severe enough to be sent. first, after: the first and the last look."""
    since = after - OVERLAP
    lowest = watched.settings.alert_level
    parts = [
        failed_runs(watched, instance, first, since),
        failed_checks(watched, instance, since),
        stale.find(now),
    ]
    return Findings(
        [problem for part in parts for problem in part.open if is_at_least(problem.level, lowest)],
        [entry for part in parts for entry in part.over if is_at_least(entry[0].level, lowest)],
    )
