"""Exports as Dagster assets, one for each destination.

Belongs here: assets and their jobs. Does not: an export (`exporting`). No schedule: what leaves the shop is sent by
somebody.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from clm_dagster.domains.actions.exports.checking import CHECK, CHECK_DESCRIPTION
from clm_dagster.domains.actions.exports.destinations import DESTINATIONS, Destination
from clm_dagster.domains.actions.exports.errors import NotAllowedError
from clm_dagster.domains.actions.exports.exporting import Export, Exported, Request
from clm_dagster.domains.actions.exports.ledger import PLAN, VIEW
from clm_dagster.platform.jobs import asset_job
from clm_dagster.platform.naming import asset_key, name_of, with_prefix
from clm_dagster.platform.partitions import parse_day
from clm_dagster.platform.resources import resources_of, run_warehouse, warehouse_key
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from clm_dagster.platform.jobs import AssetJob

_GROUP, _OWNERS = "actions", ["team:marketing"]
# What the check reads besides.
_CONSENTS = ("staging.stg_customers", "core.customer_identities")


class ExportConfig(dg.Config):
    """Options of an export, those of `clm export actions`; empty for the default. Dagster stores them.

    as_of: of the plan, as in 2024-06-03; the newest if empty. out: folder of the files. emails: CSV file of addresses.
    url: of the webhook, with secrets as environment variables: https://host/path?token=${NAME}.
    """

    as_of: str = ""
    out: str = ""
    emails: str = ""
    url: str = ""

    def request(self, destination: str) -> Request:
        """Return the request of an export."""
        return Request(
            destination,
            parse_day(self.as_of) if self.as_of else None,
            Path(self.out) if self.out else None,
            Path(self.emails) if self.emails else None,
            self.url or None,
        )


def export_key(settings: Settings, destination: str) -> dg.AssetKey:
    """Return the key of the exports to a destination."""
    return with_prefix(settings, dg.AssetKey(["exports", f"actions_{destination}"]))


def export_job_name(settings: Settings, destination: str) -> str:
    """Return the name of the job of a destination."""
    return name_of(settings, _job(destination))


def export_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return one asset for each destination."""
    return [_asset(found, settings) for found in DESTINATIONS.values()]


def export_jobs(settings: Settings) -> list["AssetJob"]:
    """Return one job for each destination."""
    return [
        asset_job(
            settings,
            _job(name),
            dg.AssetSelection.assets(export_key(settings, name)),
            f"Export the difference of planned actions to {name}.",
        )
        for name in DESTINATIONS
    ]


def export_definitions(settings: Settings) -> dg.Definitions:
    """Return what an export alone needs; the whole code location takes seconds to make."""
    return dg.Definitions(
        assets=export_assets(settings), jobs=export_jobs(settings), resources=resources_of(settings)
    )


def _job(destination: str) -> str:
    return f"export_actions_{destination}"


def _asset(found: Destination, settings: Settings) -> dg.AssetsDefinition:
    key = export_key(settings, found.name)

    @dg.asset(
        key=key,
        deps=[asset_key(settings, relation) for relation in (VIEW, PLAN, *_CONSENTS)],
        group_name=name_of(settings, _GROUP),
        owners=_OWNERS,
        kinds=set(found.kinds),
        tags={"layer": "export", "job": _job(found.name)},
        description=(
            f"The planned actions for {found.name}: {found.gets}. Each export is the difference to the last one, which "
            "the table raw.action_exports holds. Run `clm export actions` to make one."
        ),
        check_specs=[dg.AssetCheckSpec(CHECK, asset=key, description=CHECK_DESCRIPTION, blocking=True)],
        required_resource_keys={warehouse_key(settings)},
        pool=export_job_name(settings, found.name),
    )
    def exported(
        context: dg.AssetExecutionContext, config: ExportConfig
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        warehouse = run_warehouse(context, settings)
        try:
            done = Export(settings, warehouse, config.request(found.name), context.log.info).run()
        except NotAllowedError as error:
            yield dg.AssetCheckResult(check_name=CHECK, passed=False, description=error.found)
            raise
        yield dg.AssetCheckResult(
            check_name=CHECK,
            passed=True,
            description=f"{done.as_of:%Y-%m-%d}: all {done.allowed} customers to contact may be contacted",
        )
        yield dg.MaterializeResult(metadata=metadata_of(done))

    return exported


def metadata_of(done: Exported) -> dict[str, str | int | list[str]]:
    """Return the metadata of an export: counts and names of files, and nothing of a customer."""
    return {
        "destination": done.destination,
        "as_of": f"{done.as_of:%Y-%m-%d}",
        **done.counts,
        "without_address": done.without_address,
        "may_be_contacted": done.allowed,
        "batches": done.batches,
        "files": done.files,
        "place": done.folder,
    }
