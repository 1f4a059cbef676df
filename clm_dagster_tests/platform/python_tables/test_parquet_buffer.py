"""Rows in files: complete, with the types of the table, deleted with the object."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from clm_dagster.platform.python_tables.parquet_buffer import ParquetBuffer

TYPES = {"name": "varchar", "at": "timestamp", "n": "integer"}


def part(*names: str) -> pd.DataFrame:
    return pd.DataFrame({"n": range(len(names)), "name": names, "at": pd.Timestamp("2024-05-01")})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder next to a warehouse whose name has special characters."""
    found = tmp_path / "a [1] it's *"
    found.mkdir()
    return found


def test_parts_are_stored_with_the_types_of_the_table(folder: Path) -> None:
    buffer = ParquetBuffer(TYPES, folder)
    buffer.add(part("a", "b"))
    # A column of nulls has another type.
    buffer.add(part("c").assign(name=None, at=np.array(["NaT"], dtype="datetime64[ns]")))
    assert len(buffer) == 3
    found = duckdb.connect().sql(buffer.query)
    assert dict(zip(found.columns, map(str, found.types), strict=True)) == {
        "name": "VARCHAR",
        "at": "TIMESTAMP",
        "n": "INTEGER",
    }
    assert found.fetchall()[:2] == [
        ("a", pd.Timestamp("2024-05-01"), 0),
        ("b", pd.Timestamp("2024-05-01"), 1),
    ]


def test_an_empty_buffer_has_the_same_columns(folder: Path) -> None:
    buffer = ParquetBuffer(TYPES, folder)
    assert len(buffer) == 0 and duckdb.connect().sql(buffer.query).columns == list(TYPES)


def test_other_columns_are_rejected_and_files_are_deleted_with_the_object(folder: Path) -> None:
    buffer = ParquetBuffer(TYPES, folder)
    with pytest.raises(ValueError, match="expected the columns name, at, n, found n, name"):
        buffer.add(part("a").drop(columns="at"))
    assert len([*folder.glob("*/*.parquet")]) == 1
    del buffer
    assert not [*folder.iterdir()]
