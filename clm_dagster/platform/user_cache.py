"""The user's cache folder: results that depend on source code only, Python's or SQL's, and take time to compute.

Belongs here: the folder. Does not: what is stored there, anything that belongs to a shop (`data_dir/cache`).
"""

from pathlib import Path

from platformdirs import user_cache_path


def user_cache() -> Path | None:
    """Return the folder, which exists; None where it cannot be written: every process then computes anew."""
    folder = user_cache_path("clm_dagster")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
    except OSError:
        return None
    return folder
