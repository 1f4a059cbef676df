"""How the runs of a shop are started without a person: by schedules, or by declarative automation.

Belongs here: which of both a shop uses (CLM_AUTOMATION). Does not: what is due (`due_runs`), either of the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from clm_dagster.platform.change_sensors import change_sensors
from clm_dagster.platform.declarative import declare
from clm_dagster.platform.due_runs import JOBS, DueRuns
from clm_dagster.platform.naming import name_of
from clm_dagster.platform.schedules import build_schedules

if TYPE_CHECKING:
    from clm_dagster.platform.jobs import AssetJob


@dataclass(frozen=True)
class Automation:
    """The assets of a shop, and the schedules and sensors that request their runs."""

    assets: Sequence[dg.AssetsDefinition]
    schedules: Sequence[dg.ScheduleDefinition]
    sensors: Sequence[dg.SensorDefinition]


def automate(due: DueRuns, assets: Sequence[dg.AssetsDefinition], jobs: Sequence["AssetJob"]) -> Automation:
    """Return what requests the runs of a shop: either schedules with sensors, or conditions with one sensor.

    Only one of both is there, so that none is started by mistake beside the other.
    """
    if due.settings.automation == "schedules":
        return Automation(assets, build_schedules(due), change_sensors(due))
    names = {name_of(due.settings, job) for job in JOBS}
    declared, sensor = declare(due, assets, {job.name: job.selection for job in jobs if job.name in names})
    return Automation(declared, [], [sensor])
