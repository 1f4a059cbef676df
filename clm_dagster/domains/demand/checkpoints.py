"""Checkpoints: results of methods on disk, so that an interrupted training resumes where it stopped.

Belongs here: file names and atomic writes. Does not: the computations.

A file is named by a digest of everything that its content depends on except the code. A different as_of, setting or
late sale therefore gets a different file. Each version of the code has its own folder. The folder can be deleted at
any time.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clm_dagster.domains.demand.backtest import Ran, RunMethod, run_directly
from clm_dagster.domains.demand.local_methods import LocalMethod
from clm_dagster.domains.demand.panel_methods import Method
from clm_dagster.domains.demand.predict import FitMethod
from clm_dagster.domains.demand.series import Panel
from clm_dagster.statistics.forecasting.local_models import FittedParameters

SERIES_PER_CHUNK = 100


def checkpointed_run(folder: Path) -> RunMethod:
    """Return a `run` for `model.forecast` that reads results from the folder, and computes and writes missing ones.

    Methods of one series are stored in chunks of a hundred series, so an interruption loses at most one chunk.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def run(method: Method, panel: Panel, origins: NDArray[np.int64], horizon: int) -> Ran:
        if not isinstance(method, LocalMethod):
            return load_or_compute(method, panel, origins, horizon)
        parts = [load_or_compute(method, chunk, origins, horizon) for chunk, _ in _chunks(panel)]
        return Ran(
            np.concatenate([part.paths for part in parts]),
            [one for part in parts for one in part.parameters or ()],
        )

    def load_or_compute(method: Method, panel: Panel, origins: NDArray[np.int64], horizon: int) -> Ran:
        path = folder / f"{digest(method, panel, origins, horizon)}.npz"
        if path.exists():
            with np.load(path) as stored:
                return Ran(stored["paths"], json.loads(str(stored["parameters"])))
        result = run_directly(method, panel, origins, horizon)
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file:
            np.savez(file, paths=result.paths, parameters=np.array(json.dumps(result.parameters)))
        unfinished.replace(path)
        return result

    return run


def checkpointed_fit(folder: Path) -> FitMethod:
    """Return a `fit` for `model.fit_policies` that stores fitted parameters in the same way."""
    folder.mkdir(parents=True, exist_ok=True)

    def fit(
        method: LocalMethod, panel: Panel, earlier: Sequence[FittedParameters] | None
    ) -> list[FittedParameters]:
        parts = []
        for chunk, rows in _chunks(panel):
            before = None if earlier is None else [earlier[row] for row in rows]
            parts += load_or_compute(method, chunk, before)
        return parts

    def load_or_compute(
        method: LocalMethod, panel: Panel, earlier: Sequence[FittedParameters] | None
    ) -> list[FittedParameters]:
        # `earlier` depends on the panel and on the code alone, so it has no part in the name.
        path = folder / f"{digest(method, panel, np.array([panel.size]), 0)}.json"
        if not path.exists():
            unfinished = path.with_suffix(".part")
            unfinished.write_text(json.dumps(method.fit(panel, earlier)))
            unfinished.replace(path)
        found: list[FittedParameters] = json.loads(path.read_text())
        return found

    return fit


def _chunks(panel: Panel) -> list[tuple[Panel, NDArray[np.int64]]]:
    """Return the panel in chunks of at most a hundred series, with their rows."""
    if len(panel) <= SERIES_PER_CHUNK:
        return [(panel, np.arange(len(panel)))]
    rows = np.array_split(np.arange(len(panel)), -(-len(panel) // SERIES_PER_CHUNK))
    return [(panel.of(some), some) for some in rows]


def digest(method: Method, panel: Panel, origins: NDArray[np.int64], horizon: int) -> str:
    """Return a digest of the inputs: the method and its settings, the series and dates, the origins."""
    found = hashlib.sha256(f"{method!r} {panel.step} {panel.dates[0]} {horizon}".encode())
    for known in (panel, panel.days):
        if known is not None:
            found.update(known.keys.to_csv().encode())
            for array in (known.values, known.shut, known.discounts):
                found.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    found.update(origins.tobytes())
    return found.hexdigest()[:32]
