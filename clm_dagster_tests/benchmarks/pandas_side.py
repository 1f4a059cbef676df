"""The pandas script compared with the first load: its cost, and a check that it yields the same rows.

Belongs here: running it. Does not: the script (`pandas_baseline`), what equal means (`comparison`).
"""

import shutil
import time
import warnings
from statistics import median
from typing import Any

from clm_dagster_tests.benchmarks import children


def script(real: str, out: str) -> dict[str, Any]:
    """Run the script; importing pandas is not counted, as importing ours is not."""
    from clm_dagster_tests.benchmarks import pandas_baseline

    warnings.simplefilter("ignore")
    start = time.perf_counter()
    pandas_baseline.main(real, out, str(children.PROJECT_DIR / "dbt_like_sql" / "seeds"))
    return {"wall": time.perf_counter() - start}


def compare(real: str, work: str, ours: dict[str, Any], repeats: int) -> dict[str, Any]:
    """The script's seconds against ours without bookkeeping; exits if a row differs."""
    out = f"{work}/pandas"
    runs = [children.run("pandas_side:script", real=real, out=out) for _ in range(repeats)]
    equal = children.run("comparison:compare", warehouse=f"{work}/first/clm.duckdb", pandas_dir=out)
    shutil.rmtree(out)
    wall = median(run["wall"] for run in runs)
    return {
        "wall": wall,
        "peak_mb": max(run["peak_mb"] for run in runs),
        "ours_own": ours["own"],
        "ratio": wall / ours["own"],
        "ours_same_tables": ours["same_tables"]["pandas"],
        "rows": equal["rows"],
        "equal": equal["equal"],
    }
