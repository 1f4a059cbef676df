"""Rows of customers in files, as a step makes them of the warehouse, for tests of computations in shards.

Belongs here: splitting a frame, the rows of an output. Does not: any computation.
"""

import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.in_shards import Computed, in_one_step
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.parquet_buffer import ParquetBuffer
from clm_dagster.platform.python_tables.shards import CustomerRows, Shards


def shards_of(frame: pd.DataFrame, cuts: Iterable[int]) -> Shards:
    """Return the shards that begin at these places among the sorted ids. None is empty, as a step makes them."""
    ids = sorted(frame["customer_id"])
    return Shards(tuple(ids[cut] for cut in sorted(set(cuts)) if 0 < cut < len(ids)))


def random_cuts(rng: np.random.Generator, customers: int) -> list[int]:
    """Return where shards begin: up to six of them, one of a single customer."""
    cuts = rng.integers(1, max(customers, 2), rng.integers(1, 5)).tolist()
    return [*cuts, cuts[0] + 1]


def split_rows(frame: pd.DataFrame, shards: Shards, folder: Path) -> CustomerRows:
    """Return the rows of a frame by shard; a frame without cuts stays one piece."""
    ordered = frame.sort_values("customer_id", kind="stable", ignore_index=True)
    if not shards.cuts:
        return CustomerRows.whole(ordered)
    path = folder / f"{uuid.uuid4().hex}.parquet"
    with duckdb.connect() as connection:
        connection.register("ordered", ordered)
        connection.execute(f"copy ordered to '{path}' (format parquet)")
    return CustomerRows(path, len(ordered), shards)


def output_of(
    computed: Computed, project: Project, relation: str, folder: Path
) -> tuple[TableOutput, pd.DataFrame]:
    """Return an output, and its rows as they are stored, by customer."""
    types = {name: kind for name, kind in project.nodes[relation].types.items() if name != "as_of"}
    output = in_one_step(computed, lambda: ParquetBuffer(types, folder))
    rows = output.rows
    if isinstance(rows, pd.DataFrame):
        buffer = ParquetBuffer(types, folder)
        buffer.add(rows)
        rows = buffer
    with duckdb.connect() as connection:
        return output, connection.execute(f"select * from ({rows.query}) order by all").df()


def plain(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata with Dagster's values as plain ones."""
    return {name: getattr(value, "value", value) for name, value in metadata.items()}
