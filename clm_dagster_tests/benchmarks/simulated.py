"""Simulation of a shop: events per second, and peak memory by number of days.

Belongs here: running it. Does not: output (`report`).
"""

import shutil
import time
from pathlib import Path
from typing import Any

from clm_dagster_tests.benchmarks import children

CUSTOMERS = 1_000_000
DAYS = (180, 730)


def shop(out: str, customers: int, days: int) -> dict[str, Any]:
    """Simulate one shop, everything it takes included; imports are not."""
    from clm_dagster.simulate.parameters import Parameters
    from clm_dagster.simulate.shop import simulate

    start = time.perf_counter()
    simulated = simulate(Parameters(customers=customers, days=days), Path(out))
    wall = time.perf_counter() - start
    events = simulated.rows["events"]
    return {"customers": customers, "days": days, "events": events, "wall": wall, "rate": events / wall}


def measure(work: str) -> list[dict[str, Any]]:
    """Shops of as many customers and ever more days."""
    found = []
    for days in DAYS:
        found.append(children.run("simulated:shop", out=f"{work}/simulated", customers=CUSTOMERS, days=days))
        shutil.rmtree(f"{work}/simulated")
    return found
