"""A buffer on disk for rows that do not fit into memory.

Belongs here: the Parquet files. Does not: the target table (`output`).
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pandas as pd

from clm_dagster.platform.warehouse import casts


class ParquetBuffer:
    """Rows of one table in Parquet files, in a temporary folder that is deleted with the object.

    types: column -> DuckDB type. folder: parent of the temporary folder; use the disk of the warehouse, which has
    space for the rows. `len` is the number of rows.
    """

    def __init__(self, types: Mapping[str, str], folder: Path) -> None:
        self.types = dict(types)
        self._rows = 0
        self._files: list[str] = []
        self._folder = tempfile.TemporaryDirectory(prefix="rows-", dir=folder)
        self.add(pd.DataFrame(columns=list(self.types)))

    def add(self, part: pd.DataFrame) -> None:
        """Add the rows of a data frame. Raise ValueError if it has other columns than `types`."""
        if set(part.columns) != set(self.types):
            raise ValueError(f"expected the columns {', '.join(self.types)}, found {', '.join(part.columns)}")
        path = Path(self._folder.name, f"{len(self._files):06d}.parquet")
        quoted = "'" + path.as_posix().replace("'", "''") + "'"
        connection = duckdb.connect(config={"threads": 1, "memory_limit": "512MB"})
        try:
            connection.execute(
                f"copy (select {casts(self.types)} from part) to {quoted} (format parquet)"
            ).fetchall()
        finally:
            connection.close()
        self._files.append(quoted)
        self._rows += len(part)

    def __len__(self) -> int:
        return self._rows

    @property
    def query(self) -> str:
        """SQL that reads all rows while the object exists."""
        return f"select * from read_parquet([{', '.join(self._files)}])"
