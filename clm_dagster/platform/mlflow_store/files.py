"""The MLflow store that is a SQLite file in the data folder, read without MLflow.

Belongs here: finding artifacts after the data folder was moved or copied, and what can be asked without the seconds
that an import of MLflow takes. Does not: calls of MLflow (`tracking`).

MLflow stores the absolute location of every artifact. A data folder that was moved would not find its models; one that
was copied would write into its original. So the locations are rewritten when the store is opened in another folder than
the one that it was written in.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

# Columns that hold a location of artifacts: table, column, condition.
_LOCATIONS = (
    ("experiments", "artifact_location", "true"),
    ("runs", "artifact_uri", "true"),
    ("logged_models", "artifact_location", "true"),
    ("model_versions", "source", "true"),
    ("model_versions", "storage_location", "true"),
    ("trace_tags", "value", "key = 'mlflow.artifactLocation'"),
)
# Other processes write for milliseconds.
_BUSY_SECONDS = 60.0


@dataclass(frozen=True)
class StoreFile:
    """A SQLite store and the folder of its artifacts."""

    path: Path
    artifact_dir: Path

    @classmethod
    def of(cls, uri: str, artifact_dir: str) -> "StoreFile | None":
        """Return the store of a data folder; None for a server, and for a file that lies in another folder.

        Several data folders may share a file, so only one in the same folder as the artifacts belongs to them.
        """
        path = Path(uri.removeprefix("sqlite:///"))
        files = Path(artifact_dir)
        is_own = uri.startswith("sqlite:///") and path.parent == files.parent
        return cls(path, files) if is_own else None

    def has_running_runs(self) -> bool:
        """Whether MLflow shows a run as running."""
        with self._opened("ro") as connection:
            if connection is None or not _has_table(connection, "runs"):
                return False
            found = connection.execute("select 1 from runs where status = 'RUNNING' limit 1").fetchone()
        return found is not None

    def versions(self, name: str) -> dict[str, str]:
        """Return the versions of a registered model and their runs; empty if there is no store."""
        with self._opened("ro") as connection:
            if connection is None or not _has_table(connection, "model_versions"):
                return {}
            found = connection.execute(
                "select version, run_id from model_versions where name = ? and current_stage <> 'Deleted_Internal'",
                [name],
            ).fetchall()
        return {str(version): run_id or "" for version, run_id in found}

    def experiments(self) -> list[str]:
        """Return the names of all experiments; empty if there is no store."""
        with self._opened("ro") as connection:
            if connection is None or not _has_table(connection, "experiments"):
                return []
            return [name for (name,) in connection.execute("select name from experiments").fetchall()]

    def follow_folder(self, experiment: str) -> int:
        """Rewrite all locations inside the data folder for which the store was written. Return their number.

        experiment: name of the experiment whose location says which folder that was. The caller holds the store's lock.
        Locations elsewhere stay. Raise sqlite3.Error if the file cannot be read or written.
        """
        with self._opened("ro") as connection:
            before = None if connection is None else self._folder_before(connection, experiment)
        if before is None:
            return 0
        with self._opened("rw") as connection:
            assert connection is not None
            with connection:
                return _rewrite(connection, before, self.artifact_dir.parent)

    def _folder_before(self, connection: sqlite3.Connection, experiment: str) -> Path | None:
        """Return the data folder for which the store was written, None if it is this one or not known."""
        if not _has_table(connection, "experiments"):
            return None
        found = connection.execute(
            "select artifact_location from experiments where name = ?", [experiment]
        ).fetchone()
        folder = _local_path(found[0]) if found and found[0] else None
        if folder is None or folder == self.artifact_dir or folder.name != self.artifact_dir.name:
            return None
        return folder.parent

    @contextmanager
    def _opened(self, mode: str) -> Iterator[sqlite3.Connection | None]:
        """Open the file, which is not created; yield None if there is none."""
        if not self.path.is_file():
            yield None
            return
        with closing(
            sqlite3.connect(f"{self.path.as_uri()}?mode={mode}", uri=True, timeout=_BUSY_SECONDS)
        ) as connection:
            yield connection


def follow_moved_store(data_dir: Path) -> int:
    """Rewrite the locations in the store of a data folder that has just been restored. Return their number."""
    store = StoreFile(data_dir / "mlflow.db", data_dir / "mlartifacts")
    return sum(store.follow_folder(name) for name in store.experiments())


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    query = "select 1 from sqlite_master where type = 'table' and name = ?"
    return connection.execute(query, [name]).fetchone() is not None


def _local_path(location: str) -> Path | None:
    """Return the path of a location, None for one that is not a local path."""
    parts = urlsplit(location)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(url2pathname(parts.path))
    return Path(location) if location.startswith("/") else None


def _rewrite(connection: sqlite3.Connection, before: Path, now: Path) -> int:
    """Replace the folder at the beginning of all locations. Return the number of changed ones."""
    changed = 0
    for table, column, condition in _LOCATIONS:
        if not _has_table(connection, table):
            continue
        for old, new in ((before.as_uri(), now.as_uri()), (str(before), str(now))):
            changed += connection.execute(
                f"update {table} set {column} = ? || substr({column}, ?) "
                f"where {condition} and ({column} = ? or substr({column}, 1, ?) = ?)",
                [new, len(old) + 1, old, len(old) + 1, f"{old}/"],
            ).rowcount
    return changed
