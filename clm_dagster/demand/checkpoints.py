"""Answers of methods kept in a folder, so that a killed forecast goes on where it was.

Belongs here: names, atomic files. Does not: what is computed. An answer is named by a digest of everything it
depends on, so that another as_of, setting or late sale never finds it; delete the folder at any time.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clm_dagster.demand.css import Floats
from clm_dagster.demand.local_methods import LocalMethod
from clm_dagster.demand.panel_methods import Method
from clm_dagster.demand.series import Panel

SERIES_AT_ONCE = 100
VERSION = "1"
"""To be raised with every change of what a method answers."""


def keeping(folder: Path) -> Callable[[Method, Panel, NDArray[np.int64], int], Floats]:
    """A `run` for `model.forecast` that asks the folder first, and writes what it had to compute.

    Methods of one series are kept a hundred series at a time: no kill costs more than those.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def run(method: Method, panel: Panel, origins: NDArray[np.int64], horizon: int) -> Floats:
        if not isinstance(method, LocalMethod) or len(panel) <= SERIES_AT_ONCE:
            return ask(method, panel, origins, horizon)
        parts = np.array_split(np.arange(len(panel)), -(-len(panel) // SERIES_AT_ONCE))
        return np.concatenate([ask(method, panel.of(rows), origins, horizon) for rows in parts])

    def ask(method: Method, panel: Panel, origins: NDArray[np.int64], horizon: int) -> Floats:
        path = folder / f"{digest(method, panel, origins, horizon)}.npy"
        if path.exists():
            return np.load(path)
        answer = method.paths(panel, origins, horizon)
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file:
            np.save(file, answer)
        unfinished.replace(path)
        return answer

    return run


def digest(method: Method, panel: Panel, origins: NDArray[np.int64], horizon: int) -> str:
    """Of a question: the method and its settings, the series and dates, the origins."""
    found = hashlib.sha256(f"{VERSION} {method!r} {panel.step} {panel.dates[0]} {horizon}".encode())
    for known in (panel, panel.days):
        if known is not None:
            found.update(known.keys.to_csv().encode())
            for array in (known.values, known.shut, known.discounts):
                found.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    found.update(origins.tobytes())
    return found.hexdigest()[:32]
