"""Unit costs of a day, a snapshot and its scores: measured at several sizes, fitted, and checked at a larger one.

Belongs here: which shops are measured, in which order. Does not: shops (`scale_shops`), steps (`scale_steps`), fits
(`scale_costs`), the plan (`scale_plan`), output (`report_scale`).
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clm_dagster_tests.benchmarks import children
from clm_dagster_tests.benchmarks.scale_costs import check_steps, fit, fit_steps, sizes_of
from clm_dagster_tests.benchmarks.scale_plan import Inputs, plan
from clm_dagster_tests.benchmarks.scale_shops import PIECES
from clm_dagster_tests.benchmarks.scale_steps import LISTS, PHASES, SCORES

FEW, MANY = PIECES
# Kind of customers, and millions of events. Both kinds, so that events and customers can be told apart.
FITTED = ((FEW, 1), (MANY, 1), (FEW, 4), (MANY, 9), (FEW, 9))
# A score reads 26 snapshots; without scores, two are enough for a day and its snapshot. Scores cost by customer, and
# lists of recommendations most of it, so that small shops give their unit costs.
SNAPSHOTS, MOST_SCORED = 26, 1
# What was measured last, from which `--only scale-plan` computes the plan again.
MEASURED = Path(__file__).with_name("scale_measured.json")


def measure(real: str, work: str, checked: Sequence[int], bases: str | None = None) -> dict[str, Any]:
    """Measure the fitted sizes and those that check the fit, in million events.

    bases: a folder with loaded shops of an earlier call, to go on from.
    """
    loaded = Path(bases or f"{work}/bases")
    found: list[dict[str, Any]] = []
    for kind, times in (*FITTED, *((FEW, times) for times in checked)):
        base = loaded / kind.replace(" ", "-")
        if not base.exists():
            children.run("scale_shops:load", real=real, folder=str(base), kind=kind)
        found.append(
            _shop(real, str(base), f"{work}/copy", kind, times) | {"is_fitted": len(found) < len(FITTED)}
        )
    if not bases:
        shutil.rmtree(loaded)
    return {"environment": children.run("environment:describe"), "shops": found}


def _shop(real: str, base: str, folder: str, kind: str, times: int) -> dict[str, Any]:
    """Measure one size: copy, deliver the last day, run the phases, each in its own process."""
    is_scored = times <= MOST_SCORED
    shutil.rmtree(folder, ignore_errors=True)
    try:
        copied = children.run(
            "scale_shops:copy_shop",
            base=base,
            folder=folder,
            times=times,
            snapshots=SNAPSHOTS if is_scored else 2,
        )
        day = children.run("scale_shops:write_day", real=real, folder=folder, kind=kind, times=times)
        phases = {
            phase: children.run("scale_steps:run", folder=folder, phase=phase)
            for phase in PHASES
            if is_scored or phase != SCORES
        }
        stored = children.run("scale_shops:snapshot_size", folder=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sizes = {name: copied[name] for name in ("events", "customers", "size_mb")}
    kept = SNAPSHOTS if is_scored else 2
    return {
        "kind": kind,
        **sizes,
        "day_events": day["day_events"],
        "snapshot_mb": stored["snapshot_mb"],
        # Earlier snapshots hold fewer customers; half of them on average.
        "warehouse_mb": max(copied["size_mb"] - stored["snapshot_mb"] * (1 + (kept - 1) / 2), 0.0),
        "phases": phases,
    }


def evaluate(measured: dict[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the fitted costs, their checks at the larger sizes, and the plan, as JSON can hold them."""
    fitted = [shop for shop in measured["shops"] if shop["is_fitted"]]
    larger = [shop for shop in measured["shops"] if not shop["is_fitted"]]
    of_phase = {phase: [shop for shop in fitted if phase in shop["phases"]] for phase in PHASES}
    steps = {
        phase: fit_steps(sizes_of(shops), [shop["phases"][phase]["steps"] for shop in shops], phase != SCORES)
        for phase, shops in of_phase.items()
        if shops
    }
    if SCORES in steps:
        steps[SCORES][LISTS] = inputs.lists
    peaks = {
        phase: fit(sizes_of(shops), [shop["phases"][phase]["peak_mb"] for shop in shops], phase != SCORES)
        for phase, shops in of_phase.items()
        if shops
    }
    whole = [shop for shop in fitted if "warehouse_mb" in shop]
    stored = {
        name: fit(sizes_of(whole), [shop[name] for shop in whole]) for name in ("warehouse_mb", "snapshot_mb")
    }
    checks = []
    for shop, size in zip(larger, sizes_of(larger), strict=True):
        phases = {
            phase: {
                name: asdict(check) | {"error": check.error if check.measured else None}
                for name, check in check_steps(steps[phase], size, shop["phases"][phase]["steps"]).items()
            }
            for phase in shop["phases"]
            if phase in steps
        }
        memory = {
            phase: {"predicted": peaks[phase].at(size), "measured": shop["phases"][phase]["peak_mb"]}
            for phase in shop["phases"]
        }
        disk = {name: {"predicted": cost.at(size), "measured": shop[name]} for name, cost in stored.items()}
        checks.append({"size": asdict(size), "phases": phases, "peak_mb": memory, "disk_mb": disk})
    planned = plan(steps, peaks, stored["warehouse_mb"], stored["snapshot_mb"], inputs)
    return {
        "steps": {
            phase: {name: asdict(cost) for name, cost in found.items()} for phase, found in steps.items()
        },
        "peak_mb": {phase: asdict(cost) for phase, cost in peaks.items()},
        "disk_mb": {name: asdict(cost) for name, cost in stored.items()},
        "checks": checks,
        "inputs": asdict(inputs),
        "plan": asdict(planned) | {"monthly": planned.monthly},
    }


def stored() -> dict[str, Any]:
    """Return what was measured last."""
    found: dict[str, Any] = json.loads(MEASURED.read_text())
    return found
