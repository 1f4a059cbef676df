"""The first load of two years of the real shop, and its statements run again in bare DuckDB.

Belongs here: both measurements. Does not: goals (`report`).
"""

import pickle
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd

from clm_dagster_tests.benchmarks import children

if TYPE_CHECKING:
    from clm_dagster.settings import Settings

# The tables that another program also makes. Events, rejects and duplicates come before them.
SAME_TABLES = {
    "pandas": (
        "core.customer_daily",
        "core.product_daily",
        "core.totals_daily",
        "marts.shop_daily",
        "core.customer_features",
        "marts.rfm_segments",
    ),
    "expert": (
        "core.customer_daily",
        "core.product_daily",
        "core.totals_daily",
        "core.customer_features",
        "core.rfm_scores",
    ),
}


def load(real: str, data_dir: str, statements: str) -> dict[str, Any]:
    """Run `clm run --no-models` on an empty folder and write every statement to a file."""
    begun = time.perf_counter()
    from clm_dagster.settings import load_settings
    from clm_dagster.shop_run import run_shop
    from clm_dagster_tests.benchmarks.stopwatch import install

    imported = time.perf_counter() - begun
    watch = install(keep_statements=True)
    settings = load_settings(source="online_retail_ii", input=real, data_dir=data_dir)
    report = run_shop(settings, lambda title, total: lambda step, done: None, models=False)
    split = watch.take()
    Path(statements).write_bytes(
        pickle.dumps([(s.step, s.database, s.sql, s.parameters, s.seconds) for s in watch.statements])
    )
    return {
        "import": imported,
        **split.as_dict(),
        "statements": len(watch.statements),
        "materialized": sum(run.materialized for run in report.runs),
        "steps": split.by_step(),
        "same_tables": {
            name: split.as_dict(_steps_for(settings, tables).__contains__)["own"]
            for name, tables in SAME_TABLES.items()
        },
    }


def _steps_for(settings: "Settings", relations: Sequence[str]) -> set[str]:
    """Return the steps that land the files, load the events, and build relations and all that they read."""
    from clm_dagster.platform.dbt_project.building import with_upstream
    from clm_dagster.platform.domain import Shop

    project = Shop.open(settings).project
    names = with_upstream(project, [relation.split(".")[1] for relation in relations])
    found = {"landing.files", "raw.events", *(project.nodes[name].relation for name in names)}
    return {relation.replace(".", "__") for relation in found}


def replay(statements: str, data_dir: str, bare_dir: str) -> dict[str, Any]:
    """Run the stored statements in the same order in new databases: no Dagster, no lock, one connection.

    Files outside the database (the landing area) are written again under `bare_dir`.
    """
    kept = pickle.loads(Path(statements).read_bytes())
    open_files: dict[str, duckdb.DuckDBPyConnection] = {}
    by_step: dict[str, list[float]] = {}
    Path(bare_dir, "landing").mkdir(parents=True)
    file_seconds = 0.0
    total = 0.0

    def moved(value: Any) -> Any:
        return value.replace(data_dir, bare_dir) if isinstance(value, str) else value

    for step, database, sql, parameters, seconds in kept:
        if database not in open_files:
            start = time.perf_counter()
            path = moved(database) or ":memory:"
            open_files[database] = duckdb.connect(path, config={"memory_limit": "1GB"})
            file_seconds += time.perf_counter() - start
        _make_folder(moved(sql))
        start = time.perf_counter()
        if isinstance(parameters, pd.DataFrame):
            open_files[database].register("frame", parameters)
            parameters = None
        open_files[database].execute(moved(sql), parameters).fetchall()
        taken = time.perf_counter() - start
        total += taken
        both = by_step.setdefault(step or "outside", [0.0, 0.0])
        both[0] += seconds
        both[1] += taken
    start = time.perf_counter()
    for connection in open_files.values():
        connection.close()
    file_seconds += time.perf_counter() - start
    return {"sql": total, "file": file_seconds, "statements": len(kept), "steps": by_step}


def _make_folder(sql: str) -> None:
    """Create the folder of a part, as Python did before the statement that writes it."""
    if sql.lstrip().startswith("copy (") and " to '" in sql:
        Path(sql.rsplit(" to '", 1)[1].split("'")[0]).mkdir(parents=True, exist_ok=True)


def compare(real: str, work: str, loads: int, replays: int) -> dict[str, Any]:
    """Run both in separate processes and compare them. The data of the last load stay in `work`/first."""
    data_dir, statements = f"{work}/first", f"{work}/statements.pickle"
    runs = []
    for _ in range(loads):
        shutil.rmtree(data_dir, ignore_errors=True)
        runs.append(children.run("first_load:load", real=real, data_dir=data_dir, statements=statements))
    bare = []
    for number in range(replays):
        bare_dir = f"{work}/bare{number}"
        bare.append(
            children.run("first_load:replay", statements=statements, data_dir=data_dir, bare_dir=bare_dir)
        )
        shutil.rmtree(bare_dir)
    ours = sorted(runs, key=lambda run: run["own"])[len(runs) // 2]
    sql, file = (median(run[kind] for run in bare) for kind in ("sql", "file"))
    return {
        "ours": ours,
        "bare": {"sql": sql, "file": file, "runs": bare},
        "size_mb": Path(data_dir, "clm.duckdb").stat().st_size / 1e6,
        "sql_ratio": ours["sql"] / sql,
        "sql_and_file_ratio": (ours["sql"] + ours["file"]) / (sql + file),
    }
