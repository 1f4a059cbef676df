"""Growth of the cost of one more day with the length of the history.

Belongs here: the histories that are compared, and in what order. Does not: one day's cost (`one_day`),
output (`report`).

All histories are loaded first; then each takes its turn, several times over, so that whatever else the
machine does meets all of them alike.
"""

import shutil
from collections.abc import Sequence
from typing import Any

from clm_dagster_tests.benchmarks import children
from clm_dagster_tests.benchmarks.rounds import medians

TURNS = 3


def real_day(real: str, work: str, repeats: int) -> dict[str, Any]:
    """Measure the last real day after all others, loaded as by `clm run`."""
    folder = f"{work}/day"
    children.run("inputs:write_split", real=real, folder=f"{folder}/files")
    loaded = _load(folder, "history.csv.gz", keep_bookkeeping=True)
    return _together(loaded, [_extra(folder, loaded, repeats)])


def by_size(real: str, work: str, sizes: Sequence[int], repeats: int) -> dict[str, Any]:
    """Measure the last real day after a history that is repeated as often as each size says."""
    loaded = {}
    for times in sizes:
        folder = f"{work}/times{times}"
        written = children.run("inputs:write_times", real=real, folder=f"{folder}/files", times=times)
        loaded[times] = {
            "events": written["rows"],
            **_load(folder, "history.parquet", keep_bookkeeping=False),
        }
    extras: dict[int, list[dict[str, Any]]] = {times: [] for times in sizes}
    for _ in range(TURNS):
        for times in sizes:
            extras[times].append(_extra(f"{work}/times{times}", loaded[times], repeats))
    for times in sizes:
        shutil.rmtree(f"{work}/times{times}")
    return {
        str(times): {"events": loaded[times]["events"], **_together(loaded[times], extras[times])}
        for times in sizes
    }


def _load(folder: str, history: str, keep_bookkeeping: bool) -> dict[str, Any]:
    return children.run(
        "one_day:history",
        folder=folder,
        files=[f"{folder}/files/{history}"],
        keep_bookkeeping=keep_bookkeeping,
    )


def _extra(folder: str, loaded: dict[str, Any], repeats: int) -> dict[str, Any]:
    return children.run(
        "one_day:extra",
        folder=folder,
        day_file=f"{folder}/files/day.csv",
        loaded=loaded["manifests"],
        repeats=repeats,
    )


def _together(loaded: dict[str, Any], extras: list[dict[str, Any]]) -> dict[str, Any]:
    rounds = [found for extra in extras for found in extra["rounds"]]
    return {
        "history": loaded,
        "extra": {
            "median": medians(rounds),
            "best": medians(rounds, min),
            "peak_mb": max(extra["peak_mb"] for extra in extras),
            "size_mb": extras[-1]["size_mb"],
            "rounds": rounds,
        },
    }
