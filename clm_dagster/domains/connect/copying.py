"""Files of a bucket, a server or another folder, copied into the inbox as they are.

Belongs here: which files are new or changed, and copying them. Does not: tables (`pulling`), reading files (ingest).
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from clm_dagster.domains.connect.config import Connector, PulledTable
from clm_dagster.domains.connect.delivering import Place, move
from clm_dagster.domains.connect.errors import ConnectorError
from clm_dagster.platform.secrets import filled
from clm_dagster.storage import write_json

# The package that reads an address, by its scheme.
_PACKAGES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "sftp": "paramiko",
}
_LOCAL = "file"


@dataclass
class Copied:
    """What was copied. files: names in the inbox. hidden: names that landing would not read. size: in bytes."""

    files: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    size: int = 0


def copy_files(connector: Connector, table: PulledTable, place: Place, inbox: Path) -> Copied:
    """Copy the files that are new, or of another size, time or version than when they were copied last.

    A file keeps its path below the address. Each is recorded after it is in the inbox. Raise ConnectorError.
    """
    entry = filled(connector.entry, connector.where)
    source, root = _open(entry, connector)
    known: dict[str, Any] = json.loads(place.copied.read_text()) if place.copied.exists() else {}
    copied = Copied()
    for item in _listed(source, root, str(entry.get("pattern") or "**"), table):
        path = item["relative_path"]
        if any(part.startswith((".", "_")) for part in PurePosixPath(path).parts):
            copied.hidden.append(path)
            continue
        stamp = _stamp(item)
        if known.get(path) == stamp:
            continue
        target = _target(inbox / str(entry.get("folder") or ""), path, inbox, table)
        shutil.rmtree(place.scratch, ignore_errors=True)
        place.scratch.mkdir(parents=True)
        written = place.scratch / "file"
        source.get_file(item["file_url"] if _scheme(root) != _LOCAL else str(Path(root) / path), str(written))
        size = written.stat().st_size
        if size != item["size_in_bytes"]:
            raise ConnectorError(
                f"{table.title}: {path} had {item['size_in_bytes']:,} bytes when it was listed and {size:,} when it "
                "was copied: it is still being written. It was not delivered"
            )
        move(written, target)
        known[path] = stamp
        write_json(place.copied, known)
        copied.files.append(target.relative_to(inbox).as_posix())
        copied.size += size
    shutil.rmtree(place.scratch, ignore_errors=True)
    return copied


def _open(entry: dict[str, Any], connector: Connector) -> tuple[Any, str]:
    """Return fsspec's file system of an address, and the address of its folder."""
    import fsspec

    url = str(entry["url"]).rstrip("/")
    scheme = _scheme(url)
    options = entry.get("options") or {}
    if scheme == _LOCAL:
        url = str(Path(url.removeprefix("file://")).expanduser().resolve())
        if not Path(url).is_dir():
            raise ConnectorError(f"{connector.where}: the folder {url} does not exist")
    try:
        source, _ = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        package = _PACKAGES.get(scheme, scheme)
        raise ConnectorError(
            f"{connector.where}: reading {scheme}:// needs another package; run\n  pip install {package}"
        ) from error
    source.invalidate_cache()
    return source, url


def _scheme(url: str) -> str:
    return urlsplit(url).scheme or _LOCAL if "://" in url else _LOCAL


def _listed(source: Any, root: str, pattern: str, table: PulledTable) -> list[Any]:
    from dlt.common.storages.fsspec_filesystem import glob_files

    found = sorted(glob_files(source, root, pattern), key=lambda item: str(item["relative_path"]))
    if not found:
        raise ConnectorError(f"{table.title}: no file at the address matches the pattern {pattern!r}")
    return found


def _stamp(item: Any) -> dict[str, Any]:
    return {"size": item["size_in_bytes"], "modified": str(item["modification_date"])}


def _target(folder: Path, path: str, inbox: Path, table: PulledTable) -> Path:
    target = (folder / path).resolve()
    if not target.is_relative_to(inbox):
        raise ConnectorError(f"{table.title}: {path} would be written outside of the inbox {inbox}")
    return target
