"""`clm restore`: a data folder from a backup.

Belongs here: checking a backup and putting its files in place. Does not: reading it (`archives`).
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from clm_dagster.platform.mlflow_store.files import follow_moved_store
from clm_dagster.platform.publish.copying import publish
from clm_dagster.upkeep.archives import Manifest, unpack
from clm_dagster.upkeep.guarding import UpkeepError

_ADAPTERS = "adapters"


@dataclass(frozen=True)
class Restored:
    """A restored data folder. adapters: the folder of the shop's own adapters, None if it has none."""

    folder: Path
    manifest: Manifest
    adapters: Path | None

    @property
    def variables(self) -> dict[str, str]:
        """The settings with which commands find the shop."""
        found = {"CLM_DATA_DIR": str(self.folder)}
        return found | ({"CLM_ADAPTERS_DIR": str(self.adapters)} if self.adapters else {})


def restore(backup: Path, folder: Path) -> Restored:
    """Make a data folder from a backup, in another place than the original if need be.

    Nothing is at the folder until everything is checked. Raise UpkeepError if the folder has files, or if the backup is
    damaged or of a newer version.
    """
    backup, folder = backup.expanduser().absolute(), folder.expanduser().absolute()
    if not backup.exists():
        raise UpkeepError(f"{backup} does not exist; expected a file or folder that `clm backup` has made")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UpkeepError(
            f"{folder} is not empty; a restore never replaces a file. Give a new or an empty folder."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        manifest = unpack(backup, partial)
        data = partial / "data"
        warehouse = data / "clm.duckdb"
        if not warehouse.exists():
            raise UpkeepError(
                f"{backup} has no warehouse, data/clm.duckdb. Nothing is restored; use another backup."
            )
        publish(warehouse, data / "published" / "clm.duckdb")
        if (partial / _ADAPTERS).is_dir():
            (partial / _ADAPTERS).replace(data / _ADAPTERS)
        data.chmod(0o700)
        data.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    follow_moved_store(folder)
    adapters = folder / _ADAPTERS
    return Restored(folder, manifest, adapters if adapters.is_dir() else None)
