"""Seeds as assets: rules that users edit, loaded only if they are valid.

Belongs here: loading a CSV file completely or not at all. Does not: validation rules; each domain provides its own
checks.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import dagster as dg

from clm_dagster.platform.assets.node_assets import (
    check_specs,
    exposure_metadata,
    run_checks,
    table_schema,
)
from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.dbt_project.building import load_seed
from clm_dagster.platform.dbt_project.project import Project, Seed
from clm_dagster.platform.executors import warehouse_pool
from clm_dagster.platform.job_names import DAILY
from clm_dagster.platform.markdown import markdown_list, markdown_table
from clm_dagster.platform.naming import asset_key, name_of
from clm_dagster.platform.resources import run_warehouse, warehouse_key
from clm_dagster.platform.step_costs import StepCosts
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings

# Checks a seed's new rows in a relation and returns the problems found.
SeedCheck = Callable[[Connection, str], list[str]]
_SHOWN_ROWS = 50


class _RefusedError(Exception):
    """Rolls back the transaction in which invalid rows were loaded."""


def seed_asset(
    project: Project, seed: Seed, settings: Settings, checks: Mapping[str, SeedCheck]
) -> dg.AssetsDefinition:
    """Return the asset of a seed. If one of `checks` finds a problem, the previous rows are kept."""
    key = asset_key(settings, seed.relation)
    specs = check_specs(seed, key) + [
        dg.AssetCheckSpec(name, asset=key, description=(check.__doc__ or "").strip(), blocking=True)
        for name, check in checks.items()
    ]

    @dg.asset(
        key=key,
        description=seed.description,
        group_name=name_of(settings, seed.dagster.get("group", seed.schema)),
        owners=seed.dagster.get("owners"),
        kinds={"duckdb", "csv"},
        tags={"layer": "seed", "job": DAILY},
        code_version=seed.code_version,
        check_specs=specs,
        metadata={
            "dagster/column_schema": table_schema(seed),
            "dagster/table_name": seed.relation,
            **exposure_metadata(project, seed.name),
        },
        required_resource_keys={warehouse_key(settings)},
        pool=warehouse_pool(settings, seed.relation),
    )
    def load(context: dg.AssetExecutionContext) -> Iterator[Any]:
        costs = StepCosts()
        with run_warehouse(context, settings).connect(seed.relation) as connection:
            problems = _replace(connection, seed, checks, context.run.run_id)
            if not any(problems.values()):
                results = run_checks(connection, project, seed, key, None)
                rows = connection.frame(f"select * from {seed.relation} limit {_SHOWN_ROWS}")
                count = connection.scalar(f"select count(*) from {seed.relation}")
        for name, found in problems.items():
            yield dg.AssetCheckResult(
                check_name=name,
                passed=not found,
                description="; ".join(found) or None,
                metadata={"problems": dg.MetadataValue.md(markdown_list(found))},
            )
        refused = [text for found in problems.values() for text in found]
        if refused:
            raise dg.Failure(f"{seed.path} is invalid and the previous rows are kept: " + "; ".join(refused))
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": count,
                **costs.metadata(),
                "rows": dg.MetadataValue.md(markdown_table(list(rows.columns), rows.to_numpy().tolist())),
            },
            check_results=results,
        )

    return load


def _replace(
    connection: Connection, seed: Seed, checks: Mapping[str, SeedCheck], run_id: str
) -> dict[str, list[str]]:
    """Load the file unless a check finds a problem; return the problems of each check."""
    problems: dict[str, list[str]] = {}

    def load() -> None:
        load_seed(connection, seed, seed.relation)
        problems.update({name: check(connection, seed.relation) for name, check in checks.items()})
        if any(problems.values()):
            raise _RefusedError
        count = connection.scalar(f"select count(*) from {seed.relation}")
        built = (versions.WHOLE, Version(seed.code_version), count)
        versions.record(connection, seed.relation, [built], run_id)

    with suppress(_RefusedError):
        connection.run_transaction(load, seed.relation)
    return problems
