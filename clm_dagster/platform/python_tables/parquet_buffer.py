"""A buffer on disk for rows that do not fit into memory.

Belongs here: the Parquet files. Does not: the target table (`output`).
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pandas as pd

from clm_dagster.platform.warehouse import casts

# Rows per block of a file. Who reads it holds some blocks, of texts that may be long.
_BLOCK = 20_480


class ParquetBuffer:
    """Rows of one table in Parquet files, in a temporary folder that is deleted with the object.

    types: column -> DuckDB type. folder: parent of the temporary folder; use the disk of the warehouse, which has space
    for the rows. parts: files of `write_part` with their numbers of rows, which come first. `len` is the number of
    rows.
    """

    def __init__(
        self, types: Mapping[str, str], folder: Path, parts: Sequence[tuple[Path, int]] = ()
    ) -> None:
        self.types = dict(types)
        self._rows = sum(rows for _, rows in parts)
        self._files = [_quoted(path) for path, _ in parts]
        self._folder = tempfile.TemporaryDirectory(prefix=".rows-", suffix=".tmp", dir=folder)
        self.add(pd.DataFrame(columns=list(self.types)))

    def add(self, part: pd.DataFrame) -> None:
        """Add the rows of a data frame. Raise ValueError if it has other columns than `types`."""
        path = Path(self._folder.name, f"{len(self._files):06d}.parquet")
        write_part(part, self.types, path)
        self._files.append(_quoted(path))
        self._rows += len(part)

    def __len__(self) -> int:
        return self._rows

    @property
    def query(self) -> str:
        """SQL that reads all rows while the object exists."""
        return f"select * from read_parquet([{', '.join(self._files)}])"


def write_part(part: pd.DataFrame, types: Mapping[str, str], path: Path) -> None:
    """Write rows to a file, with the types of their table. Raise ValueError if they have other columns."""
    if set(part.columns) != set(types):
        raise ValueError(f"expected the columns {', '.join(types)}, found {', '.join(part.columns)}")
    with duckdb.connect(config={"threads": 1, "memory_limit": "512MB"}) as connection:
        connection.execute(
            f"copy (select {casts(types)} from part) to {_quoted(path)} (format parquet, row_group_size {_BLOCK})"
        ).fetchall()


def _quoted(path: Path) -> str:
    quoted = path.as_posix().replace("'", "''")
    return f"'{quoted}'"
