"""`clm vacuum`: free what is not needed, part by part.

Belongs here: the parts and their order. Does not: what each of them frees.

Each part is complete or has no effect, or leaves the rest to the next vacuum. No part deletes the only copy of a row.
"""

from clm_dagster.platform.publish.publishing import is_published, last_published, publish_warehouse
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.settings import Settings
from clm_dagster.shop_run import plan_landed
from clm_dagster.upkeep.files import free_landed, free_standby, free_temporary
from clm_dagster.upkeep.freed import Freed
from clm_dagster.upkeep.guarding import refuse_while_running
from clm_dagster.upkeep.lake import free_lake
from clm_dagster.upkeep.models import free_mlflow_runs
from clm_dagster.upkeep.run_history import free_runs
from clm_dagster.upkeep.snapshots import compact, thin_snapshots


def vacuum(settings: Settings, dry_run: bool = False) -> list[Freed]:
    """Free what the settings CLM_KEEP_... and the state of the shop allow. Return what is freed, or would be.

    Raise UpkeepError if a run goes on, InputError, SettingsError, WarehouseBusyError.
    """
    refuse_while_running(settings, "clm vacuum")
    settings, plan = plan_landed(settings)
    was_published = last_published(settings) is not None and is_published(settings)
    thinned = thin_snapshots(settings, plan.thinned, dry_run)
    freed = [
        thinned,
        free_landed(settings, dry_run),
        free_runs(settings, dry_run),
        free_mlflow_runs(settings, dry_run),
        free_temporary(settings, dry_run),
    ]
    if settings.has_lake:
        return [*freed, *free_lake(settings, dry_run, was_published)]
    freed += [free_standby(settings, dry_run), compact(settings, dry_run, thinned.size)]
    if not dry_run and was_published and not is_published(settings):
        publish_warehouse(settings, warehouse_of(settings))
        free_standby(settings, dry_run)
    return freed
