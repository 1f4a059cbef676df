"""Record which definitions of the package a computation executes, to compare them with its code version."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from clm_dagster.platform.build_ledger.code_version import Symbol
from clm_dagster.settings import PROJECT_DIR

_PACKAGE = PROJECT_DIR / "clm_dagster"


@contextmanager
def executed() -> Iterator[set[Symbol]]:
    """Collect (module, name at its top level) of every function that is entered inside the block."""
    found: set[Symbol] = set()
    codes: dict[object, Symbol | None] = {}

    def enter(frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code not in codes:
            path = Path(code.co_filename)
            ours = path.is_relative_to(_PACKAGE) and "<" not in code.co_qualname.split(".")[0]
            codes[code] = (_module(path), code.co_qualname.split(".")[0]) if ours else None
        symbol = codes[code]
        if symbol is not None:
            found.add(symbol)

    sys.setprofile(enter)
    try:
        yield found
    finally:
        sys.setprofile(None)


def _module(path: Path) -> str:
    parts = path.relative_to(PROJECT_DIR).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
