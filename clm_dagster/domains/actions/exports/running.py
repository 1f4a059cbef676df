"""`clm export actions` as one Dagster run.

Belongs here: the run and what it sent, in words. Does not: the export (`exporting`), options (`commands`).
"""

from datetime import datetime

import dagster as dg

from clm_dagster.domains.actions.exports.assets import export_definitions, export_job_name, export_key
from clm_dagster.domains.actions.exports.errors import ExportError
from clm_dagster.domains.actions.exports.exporting import Export, Exported, Request
from clm_dagster.domains.actions.exports.ledger import ADD, CHANGED, OPERATIONS, REMOVE
from clm_dagster.domains.actions.exports.webhook import referred
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.runs import close_dead_runs, execute, open_instance
from clm_dagster.settings import Settings


def preview(settings: Settings, request: Request) -> Exported:
    """Return what an export would send, without a run. Raise ExportError."""
    return Export(settings, warehouse_of(settings), request, lambda _: None).preview()


def export_actions(settings: Settings, request: Request) -> Exported:
    """Export actions as one Dagster run. Raise ExportError, RunFailedError, StoppedError."""
    Export(settings, warehouse_of(settings), request, lambda _: None)  # refuses options before a run is made
    key = export_key(settings, request.destination)
    config = {
        "as_of": request.as_of.isoformat() if request.as_of else "",
        "out": str(request.out.expanduser().resolve()) if request.out else "",
        "emails": str(request.emails.expanduser().resolve()) if request.emails else "",
        "url": referred(request.url) if request.url else "",
    }
    with open_instance(settings) as instance:
        close_dead_runs(instance)
        done = execute(
            export_definitions(settings),
            instance,
            export_job_name(settings, request.destination),
            None,
            lambda *_: None,
            config={"__".join(key.path): config},
        )
        return _exported(instance, key, done.run_id)


def _exported(instance: dg.DagsterInstance, key: dg.AssetKey, run_id: str) -> Exported:
    """Return what a run exported, from the metadata of its materialization."""
    event = instance.get_latest_materialization_event(key)
    if event is None or event.run_id != run_id or event.asset_materialization is None:
        raise ExportError(f"the run {run_id} left no record of its export; look at it in the Dagster UI")
    found = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    done = Exported(
        str(found["destination"]),
        datetime.fromisoformat(str(found["as_of"])),
        _number(found["may_be_contacted"]),
        str(found["place"]),
    )
    done.counts = {name: _number(found[name]) for name in OPERATIONS}
    done.without_address, done.batches = _number(found["without_address"]), _number(found["batches"])
    files = found["files"]
    done.files = [str(name) for name in files] if isinstance(files, list) else []
    return done


def _number(value: object) -> int:
    return int(str(value))


def in_words(done: Exported, is_dry: bool) -> str:
    """Return what an export did, or would do."""
    counts = done.counts
    if sum(counts.values()):
        what = f"{counts[ADD]:,} added, {counts[CHANGED]:,} changed, {counts[REMOVE]:,} removed"
        lead = f"Would export to {done.destination}" if is_dry else f"Exported to {done.destination}"
        lines = [f"{lead}, plan of {done.as_of:%Y-%m-%d}: {what}"]
    else:
        lines = [
            f"Nothing to send to {done.destination}: it has the plan of {done.as_of:%Y-%m-%d} already, "
            f"{done.allowed:,} customers to contact"
            if not done.without_address
            else f"Nothing could be sent to {done.destination}, plan of {done.as_of:%Y-%m-%d}"
        ]
    if done.without_address:
        lines.append(
            f"{done.without_address:,} rows were left out: no usable e-mail address of the customer is known; add it "
            "to the file of --emails"
        )
    if not is_dry and done.files:
        lines.append(f"Files in {done.folder}:")
        lines += [f"  {name}" for name in done.files]
    return "\n".join(lines)
