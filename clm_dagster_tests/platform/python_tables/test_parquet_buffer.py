"""Rows kept in files: all of them, with the types of the table, gone with the object."""

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
    """Beside a warehouse of an awkward name."""
    found = tmp_path / "a [1] it's *"
    found.mkdir()
    return found


def test_parts_add_up_with_the_types_of_the_table(folder: Path) -> None:
    buffer = ParquetBuffer(TYPES, folder)
    buffer.add(part("a", "b"))
    buffer.add(
        part("c").assign(name=None, at=np.array(["NaT"], dtype="datetime64[ns]"))
    )  # a column of nothing has a type of its own
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


def test_nothing_is_no_row_of_the_same_columns(folder: Path) -> None:
    buffer = ParquetBuffer(TYPES, folder)
    assert len(buffer) == 0 and duckdb.connect().sql(buffer.query).columns == list(TYPES)


def test_other_columns_are_refused_and_files_go_with_the_object(folder: Path) -> None:
    buffer = ParquetBuffer(TYPES, folder)
    with pytest.raises(ValueError, match="expected the columns name, at, n, found n, name"):
        buffer.add(part("a").drop(columns="at"))
    assert len([*folder.glob("*/*.parquet")]) == 1
    del buffer
    assert not [*folder.iterdir()]
