"""`python -m clm_dagster_tests.benchmarks`: which benchmarks run, and where the figures are written.

Belongs here: options and order. Does not: measuring (`whole_run`, `late_data`, `first_load`, `pandas_side`,
`expert_side`, `growth`, `simulated`, `btyd_fit`, `churn_training`, `demand_fit`, `demand_coverage`, `demand_weeks`,
`lightgbm_candidates`, `score_turnover`, `recommend_peers`, `recommend_scale`, `uplift_hillstrom`,
`allocation_scale`, `acting`, `report_page`, `learning`, `scale`, `lake_load`).
"""

import argparse
import importlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from clm_dagster_tests.benchmarks import (
    children,
    churn_training,
    expert_side,
    growth,
    late_data,
    regressions,
    report,
    report_run,
    simulated,
    whole_run,
)
from clm_dagster_tests.benchmarks.children import PROJECT_DIR

# Whole commands, of which `run` and `demo` take minutes.
COMMANDS = ("segments", "run", "demo")
PARTS = (
    *COMMANDS,
    "first",
    "pandas",
    "expert",
    "late",
    "day",
    "growth",
    "simulated",
    "btyd",
    "churn",
    "demand",
    "demand-coverage",
    "demand-weeks",
    "methods",
    "lightgbm",
    "score-turnover",
    "experiments",
    "peers",
    "recommend",
    "uplift",
    "action-plan",
    "score-scale",
    "allocation",
    "acting",
    "report",
    "learning",
    "scale",
    "scale-plan",
)
# Only on request: it needs DuckDB 1.5, see docs/team.md.
EXTRA_PARTS = ("lake",)


def main() -> None:
    """Measure, print the tables, write the JSON."""
    options = _options()
    console = Console(stderr=options.json == "-")
    before, *later = [json.loads(Path(file).read_text()) for file in options.compare] or [None]
    if later:
        sys.exit(_show_changes(before, later[0], console))
    real = _reference("online_retail_ii/online_retail_II.csv.gz")
    work = Path(options.work or tempfile.mkdtemp(prefix="clm-bench-")).absolute()
    made = work / "run"
    made.mkdir(parents=True)
    try:
        results = _measure(options, str(real), str(made), console)
    finally:
        shutil.rmtree(made)
        if not options.work:
            work.rmdir()
    text = json.dumps(report.as_json(results), indent=1, default=str)
    if options.json == "-":
        print(text)
    elif options.json:
        Path(options.json).write_text(text + "\n")
    report.show(results, console)
    if before:
        sys.exit(_show_changes(before, results, console))


def _show_changes(before: dict[str, Any], now: dict[str, Any], console: Console) -> int:
    """Print what changed by more than noise. Return 1 if something became slower, else 0."""
    found = regressions.compare(before, now)
    if not found:
        console.print("No figure changed by more than noise.")
        return 0
    console.print(report_run.changes(found))
    return int(any(change.is_slower for change in found))


def _measure(options: argparse.Namespace, real: str, work: str, console: Console) -> dict[str, Any]:
    wanted = options.only or PARTS
    results: dict[str, Any] = {"environment": children.run("environment:describe")}
    if commands := [name for name in COMMANDS if name in wanted]:
        console.print(f"Commands on an empty folder: {', '.join(commands)} ...")
        results["commands"] = whole_run.measure(real, f"{work}/commands", options.loads, commands)
    if {"first", "pandas", "expert"} & set(wanted):
        console.print("First load of the two years, and its statements in bare DuckDB ...")
        replays = options.repeats if "first" in wanted else 1
        results["first"] = _first(real, work, options.loads, replays)
    if "pandas" in wanted:
        console.print("The pandas script ...")
        results["pandas"] = _pandas(real, work, results["first"]["ours"], options.repeats)
    if "expert" in wanted:
        console.print("The SQL that an expert writes by hand ...")
        results["expert"] = expert_side.compare(real, work, results["first"]["ours"], options.repeats)
    shutil.rmtree(f"{work}/first", ignore_errors=True)
    if "late" in wanted:
        console.print("Rows that arrive late ...")
        results["late"] = late_data.measure(real, f"{work}/late")
    if "day" in wanted:
        console.print("One more day after the two years ...")
        results["day"] = growth.real_day(real, work, options.repeats)
    if "growth" in wanted:
        console.print(f"One more day after {', '.join(map(str, options.sizes))} million events ...")
        results["growth"] = growth.by_size(real, work, options.sizes, options.repeats)
    if "simulated" in wanted:
        console.print("Shops of a million customers ...")
        results["simulated"] = simulated.measure(work)
    if "btyd" in wanted:
        console.print("Fits of purchase models, on CDNOW and a million customers ...")
        results["btyd"] = _btyd(work, options.repeats, dict(options.peer))
    if "churn" in wanted:
        console.print("A churn training on the two years ...")
        results["churn"] = churn_training.measure(real, work)
    if "demand" in wanted:
        console.print("Searches of ARIMA orders, and evaluations of demand ...")
        results["demand"] = _demand()
    if "demand-coverage" in wanted:
        console.print("Bands of series without a backtest ...")
        results["demand-coverage"] = _demand_coverage()
    if "demand-weeks" in wanted:
        console.print("Weekly series, beside MSTL with AutoETS ...")
        results["demand-weeks"] = _demand_weeks(dict(options.peer).get("methods"))
    if "methods" in wanted:
        console.print("Itemsets, ARIMA and Theta, beside mlxtend and statsforecast ...")
        results["methods"] = _methods(dict(options.peer).get("methods"))
    if "lightgbm" in wanted:
        console.print("LightGBM as a candidate of churn and value ...")
        results["lightgbm"] = _on_shops(work, "lightgbm_candidates:measure")
    if "score-turnover" in wanted:
        console.print("Turnover of churn scores from week to week ...")
        results["score-turnover"] = _on_shops(work, "score_turnover:measure")
    if "experiments" in wanted:
        console.print("Intervals of experiments that are looked at every day ...")
        results["experiments"] = children.run("experiments:measure")
    if "peers" in wanted:
        console.print("Similar products and recommendations, compared with other methods ...")
        results["peers"] = _peers(work, options.repeats, dict(options.peer).get("implicit"))
    if "recommend" in wanted:
        console.print(
            f"Recommendations for shops of {', '.join(f'{n:,}' for n in options.customers)} customers ..."
        )
        results["recommend"] = _recommend(work, options.customers)
    if "uplift" in wanted:
        console.print("Uplift learners on Hillstrom's e-mail experiment ...")
        file = str(_reference("hillstrom/hillstrom.parquet"))
        found = children.run("uplift_hillstrom:measure", file=file)
        results["uplift"] = {mail: found[mail] for mail in ("womens", "mens")}
    if "action-plan" in wanted:
        results["action-plan"] = _in_shards("plan_scale", work)
    if "score-scale" in wanted:
        console.print(
            "Churn scores and expected spend of a million customers, in one piece and in shards ..."
        )
        results["score-scale"] = _in_shards("score_scale", work)
    if "allocation" in wanted:
        console.print("Allocations of a million customers ...")
        results["allocation"] = [
            children.run("allocation_scale:measure", customers=1_000_000, kind=kind)
            for kind in ("different", "rounded", "equal")
        ]
    if "acting" in wanted:
        console.print("Simulated shops that act by a plan, by churn risk, or mail everybody ...")
        results["acting"] = _acting(work)
    if "lake" in wanted:
        console.print("A year of days loaded into a lake by several processes ...")
        results["lake"] = children.run("lake_load:measure", work=f"{work}/lake")
    if "report" in wanted:
        console.print("The report's page at a shop of a million customers ...")
        results["report"] = _report(work)
    return results | _large(options, real, work, wanted, console)


def _large(
    options: argparse.Namespace, real: str, work: str, wanted: Sequence[str], console: Console
) -> dict[str, Any]:
    """Measure what large shops need: learning curves, unit costs and the plan from them."""
    from clm_dagster_tests.benchmarks import learning, scale
    from clm_dagster_tests.benchmarks.scale_plan import Inputs

    results: dict[str, Any] = {}
    if "learning" in wanted:
        console.print(f"Learning curves over {options.learning_customers:,} simulated customers ...")
        results["learning"] = learning.measure(work, options.learning_customers)
    if "scale" in wanted:
        console.print(f"Unit costs, checked at {', '.join(map(str, options.checked))} million events ...")
        measured = scale.measure(real, work, options.checked)
        results["scale"] = {"measured": measured, **scale.evaluate(measured, Inputs.read())}
    if "scale-plan" in wanted:
        measured = scale.stored()
        results["scale-plan"] = {"measured": measured, **scale.evaluate(measured, Inputs.read())}
    return results


def _btyd(work: str, repeats: int, peers: dict[str, str]) -> dict[str, Any]:
    from clm_dagster_tests.benchmarks import btyd_fit

    cdnow = _reference("cdnow/cdnow_sample.parquet")
    return btyd_fit.compare(str(cdnow), work, repeats, peers)


def _in_shards(module: str, work: str) -> list[dict[str, Any]]:
    found = importlib.import_module(f"clm_dagster_tests.benchmarks.{module}")
    rows: list[dict[str, Any]] = found.measure(work, 1_000_000, [0, 100_000])
    return rows


def _acting(work: str) -> dict[str, Any]:
    from clm_dagster_tests.benchmarks import acting

    return acting.measure(work)


def _report(work: str) -> dict[str, Any]:
    from clm_dagster_tests.benchmarks import report_page

    return report_page.measure(work)


def _demand() -> dict[str, Any]:
    from clm_dagster_tests.benchmarks import demand_fit

    return demand_fit.measure([50, 200])


def _demand_coverage() -> dict[str, Any]:
    folder = _reference("online_retail_ii/year_2009_2010.parquet").parents[1]
    return children.run("demand_coverage:measure", reference=str(folder))


def _demand_weeks(python: str | None) -> dict[str, Any]:
    from clm_dagster_tests.benchmarks import demand_weeks

    folder = _reference("online_retail_ii/year_2009_2010.parquet").parents[1]
    return demand_weeks.compare(folder, Path(python or PROJECT_DIR / ".peers-venv/bin/python").absolute())


def _methods(python: str | None) -> dict[str, Any]:
    from clm_dagster_tests.benchmarks import method_peers

    folder = _reference("online_retail_ii/year_2009_2010.parquet").parents[1]
    return method_peers.compare(folder, Path(python or PROJECT_DIR / ".peers-venv/bin/python").absolute())


def _on_shops(work: str, task: str) -> dict[str, Any]:
    """Load Online Retail II and a simulated shop, once for all parts, and measure a task on each."""
    reference = _reference("online_retail_ii/online_retail_II.csv.gz").parents[1]
    found = {}
    for name in ("online_retail_ii", "simulated"):
        arguments = {"name": name, "reference": str(reference), "folder": f"{work}/shops"}
        if not Path(work, "shops", name).exists():
            children.run("loaded_shops:load", **arguments)
        found[name] = children.run(task, **arguments)
    return found


def _peers(work: str, repeats: int, implicit: str | None) -> dict[str, Any]:
    from clm_dagster_tests.benchmarks import recommend_peers

    folder = _reference("online_retail_ii/year_2009_2010.parquet").parents[1]
    return recommend_peers.compare(folder, work, [1_000_000, 10_000_000], repeats, implicit)


def _recommend(work: str, sizes: list[int]) -> list[dict[str, Any]]:
    from clm_dagster_tests.benchmarks import recommend_scale

    return recommend_scale.measure(work, sizes)


def _first(real: str, work: str, loads: int, replays: int) -> dict[str, Any]:
    from clm_dagster_tests.benchmarks import first_load

    return first_load.compare(real, work, loads, replays)


def _pandas(real: str, work: str, ours: dict[str, Any], repeats: int) -> dict[str, Any]:
    from clm_dagster_tests.benchmarks import pandas_side

    return pandas_side.compare(real, work, ours, repeats)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m clm_dagster_tests.benchmarks", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--only", action="append", choices=(*PARTS, *EXTRA_PARTS), help="measure this part; may be repeated"
    )
    parser.add_argument(
        "--sizes",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[1, 4, 16],
        help="histories, in million events, as times the real one (default 1,4,16)",
    )
    parser.add_argument(
        "--customers",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[50_000, 250_000, 1_000_000],
        help="customers of the shops that are recommended to (default 50000,250000,1000000: an hour and more)",
    )
    parser.add_argument(
        "--learning-customers",
        type=int,
        default=300_000,
        help="customers of the shop whose learning curves are measured (default 300000)",
    )
    parser.add_argument(
        "--checked",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[94],
        help="sizes at which fitted unit costs are checked, as times the real one (default 94: 100 million events)",
    )
    parser.add_argument("--repeats", type=int, default=3, help="how often a day and a replay are run")
    parser.add_argument(
        "--loads", type=int, default=1, help="how often the first load and whole commands are run"
    )
    parser.add_argument(
        "--compare",
        nargs="+",
        default=[],
        metavar="FILE",
        help="an earlier --json file: name what became slower by more than noise, and exit with status 1 if "
        "anything did. With a second file, compare the two and measure nothing",
    )
    parser.add_argument(
        "--peer",
        action="append",
        type=lambda text: text.split("=", 1),
        default=[],
        metavar="PACKAGE=PYTHON",
        help="compare with lifetimes, pymc-marketing or implicit too, by the Python of an environment that has it; "
        "methods=PYTHON is that of mlxtend and statsforecast (default: what `make peers` makes)",
    )
    parser.add_argument("--work", help="folder for the work, kept empty afterwards (default: temporary)")
    parser.add_argument(
        "--json", nargs="?", const="-", help="write the figures as JSON to a file, or to stdout"
    )
    return parser.parse_args()


def _reference(name: str) -> Path:
    folder = Path(os.environ.get("CLM_REFERENCE_DATA", PROJECT_DIR.parent / "shared" / "data"))
    path = folder.absolute() / name
    if not path.exists():
        sys.exit(f"{path} is not there; CLM_REFERENCE_DATA names the folder of the reference data")
    return path


if __name__ == "__main__":
    main()
