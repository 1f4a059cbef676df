"""The output of one snapshot, and writing it to the warehouse.

Belongs here: rows, metadata and check results of one snapshot, and their replacement in one transaction. Does not: the
computation (the domains), the asset (`assets`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pandas as pd

from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.dbt_project.project import Node
from clm_dagster.platform.python_tables.parquet_buffer import ParquetBuffer
from clm_dagster.platform.python_tables.partition import PartitionContext
from clm_dagster.platform.warehouse import Connection

# The rows of a snapshot, without as_of.
Rows = pd.DataFrame | ParquetBuffer


@dataclass(frozen=True)
class SideRows:
    """Additional rows of the same snapshot for another table; they replace the rows whose column `model` is `owner`."""

    node: Node
    owner: str
    rows: pd.DataFrame


@dataclass(frozen=True)
class TableOutput:
    """Output of a computation for one snapshot: rows, metadata, results of the domain's checks, additional rows.

    when_stored: called once the rows are committed, without the lock of the warehouse.
    """

    rows: Rows
    metadata: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[dg.AssetCheckResult] = ()
    sides: Sequence[SideRows] = ()
    when_stored: Callable[[], None] | None = None


def write_output(
    connection: Connection, node: Node, partition: PartitionContext, output: TableOutput, run_id: str
) -> None:
    """Replace the rows of a snapshot, its additional rows and its build ledger entry in one transaction."""
    connection.run_transaction(
        lambda: _write(connection, node, partition, output, run_id), node.relation, [partition.key]
    )


def _write(
    connection: Connection, node: Node, partition: PartitionContext, output: TableOutput, run_id: str
) -> None:
    as_of, types, where = partition.as_of, node.types, partition.where
    rows = output.rows
    if isinstance(rows, ParquetBuffer):
        query = f"select *, timestamp '{as_of}' as as_of from ({rows.query})"
        connection.replace_typed(node.relation, query, [*rows.types, "as_of"], types, where)
    else:
        stamped = rows.assign(as_of=pd.Timestamp(as_of))
        connection.replace_with_frame(node.relation, stamped, types, where)
    versions.record(connection, node.relation, [(partition.key, partition.version, len(rows))], run_id)
    for side in output.sides:
        connection.replace_with_frame(
            side.node.relation,
            side.rows.assign(model=side.owner, as_of=pd.Timestamp(as_of)),
            side.node.types,
            f"{where} and model = '{side.owner}'",
        )
