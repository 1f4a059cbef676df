"""A shelf: frames that one pass over the shards leaves for the next one.

Belongs here: keeping frames in memory or in files. Does not: what they hold.
"""

from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

_CONFIG: dict[str, str | int] = {"threads": 1, "memory_limit": "512MB"}


@dataclass(frozen=True)
class Shelf:
    """Frames by name and shard. folder: where they are files; None keeps them in memory, for a single shard."""

    folder: Path | None = None
    _frames: dict[tuple[str, int], pd.DataFrame] = field(default_factory=dict)

    def put(self, name: str, shard: int, frame: pd.DataFrame) -> None:
        """Keep a frame, without its index. One of the same name and shard is replaced."""
        if self.folder is None:
            self._frames[name, shard] = frame.reset_index(drop=True)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(name, shard)
        with duckdb.connect(config=_CONFIG) as connection:
            # A file appears whole or not at all: a step that is tried again may have been killed here.
            connection.execute(
                f"copy (select * from frame) to {_text(path.with_suffix('.new'))} (format parquet)"
            )
        path.with_suffix(".new").replace(path)

    def get(self, name: str, shard: int) -> pd.DataFrame:
        """Return the frame of a shard."""
        if self.folder is None:
            return self._frames[name, shard]
        with duckdb.connect(config=_CONFIG) as connection:
            return connection.execute(f"select * from read_parquet({_text(self._path(name, shard))})").df()

    def column(self, name: str, column: str, shards: int) -> NDArray[np.float64]:
        """Return a column of numbers of all shards, in order; missing ones as NaN."""
        if self.folder is None:
            parts = [self._frames[name, shard][column].to_numpy(float) for shard in range(shards)]
            return np.concatenate(parts)
        files = ", ".join(_text(self._path(name, shard)) for shard in range(shards))
        with duckdb.connect(config=_CONFIG) as connection:
            found = connection.execute(f'select "{column}"::double as one from read_parquet([{files}])').df()
        return found["one"].to_numpy(float)

    def _path(self, name: str, shard: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{name}-{shard:05d}.parquet"


def _text(path: Path) -> str:
    quoted = path.as_posix().replace("'", "''")
    return f"'{quoted}'"
