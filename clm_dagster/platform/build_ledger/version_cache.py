"""Versions of code that an earlier process computed, in the user's cache folder.

Belongs here: the file, and what makes its content invalid. Does not: computing a version (`code_version`).

Reading the source of a whole package takes a second of every start. A version depends on nothing but the package's
source, the version of Python and the names and settings that it was computed for. The file is therefore valid until a
source file changes. Where there is no cache folder, versions are computed.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from clm_dagster.platform.user_cache import user_cache
from clm_dagster.storage import write_atomically

# More versions than the tables of a few shops have: the file begins anew.
_MAX_VERSIONS = 1_000


def known_version(package: str, request: str, compute: Callable[[], str]) -> str:
    """Return the version of a request, computed at most once for the source of a package.

    request: everything besides the source on which the version depends.
    """
    cached = user_cache()
    if cached is None:
        return compute()
    folders = tuple(sorted(_folders(package)))
    name = hashlib.sha256("\n".join(folders).encode()).hexdigest()[:16]
    file = cached / f"code_versions-{name}.json"
    source = _source(folders)
    versions = _read(file, source)
    key = hashlib.sha256(request.encode()).hexdigest()
    if key not in versions:
        if len(versions) >= _MAX_VERSIONS:
            versions.clear()
        versions[key] = compute()
        write_atomically(file, json.dumps({"source": source, "versions": versions}))
    return versions[key]


def _folders(package: str) -> Iterator[str]:
    """Yield the folders of the package and of what extends it: other folders may add domains."""
    for name, module in list(sys.modules.items()):
        if name == package or name.startswith(f"{package}."):
            yield from (os.fspath(folder) for folder in getattr(module, "__path__", ()))


@cache
def _source(folders: tuple[str, ...]) -> str:
    """Return a hash of the source files in the folders, with their subfolders, and of the version of Python."""
    found = hashlib.blake2b(sys.version.encode(), digest_size=16)
    outer = [
        folder for folder in folders if not any(folder.startswith(f"{other}{os.sep}") for other in folders)
    ]
    for folder in outer:
        for path in sorted(Path(folder).rglob("*.py")):
            content = path.read_bytes()
            found.update(f"\0{path}\0{len(content)}\0".encode())
            found.update(content)
    return found.hexdigest()


@cache
def _read(file: Path, source: str) -> dict[str, str]:
    """Return the versions in the file; none if it is missing, damaged or of another source."""
    try:
        content = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(content, dict) or content.get("source") != source:
        return {}
    return dict(content["versions"])
