"""The figures as tables.

Belongs here: output, rounding. Does not: measuring, goals (`goals`).
"""

from dataclasses import asdict
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from clm_dagster_tests.benchmarks import (
    report_actions,
    report_demand,
    report_experiments,
    report_methods,
    report_models,
    report_run,
    report_scale,
)
from clm_dagster_tests.benchmarks.goals import cost, ends, goals


def as_json(results: dict[str, Any]) -> dict[str, Any]:
    """The results with their goals."""
    return {**results, "goals": [asdict(goal) for goal in goals(results)]}


def show(results: dict[str, Any], console: Console) -> None:
    """Print everything that was measured."""
    if "commands" in results:
        console.print(report_run.commands(results["commands"]))
        for name, found in results["commands"].items():
            console.print(report_run.steps(name, found))
    if "late" in results:
        console.print(report_run.late(results["late"]))
    costs = Table(
        "seconds", "wall", "SQL", "file", "Python", "Dagster", "peak MB", title="Where the time goes"
    )
    if "first" in results:
        ours, bare = results["first"]["ours"], results["first"]["bare"]
        costs.add_row("first load, two years", *_split(ours), f"{ours['peak_mb']:,.0f}")
        peak = max(run["peak_mb"] for run in bare["runs"])
        costs.add_row(
            "  the same SQL in bare DuckDB",
            *_numbers(bare["sql"] + bare["file"], bare["sql"], bare["file"]),
            "",
            "",
            f"{peak:,.0f}",
        )
    if "pandas" in results:
        theirs = results["pandas"]
        costs.add_row(
            "  the pandas script", *_numbers(theirs["wall"]), "", "", "", "", f"{theirs['peak_mb']:,.0f}"
        )
        costs.add_row("  our steps for its tables", *_numbers(theirs["ours_same_tables"]), "", "", "", "", "")
    if "expert" in results:
        costs.add_row("  an expert's SQL", *_numbers(median(results["expert"]["wall"])), "", "", "", "", "")
        costs.add_row(
            "  our steps for its tables", *_numbers(results["expert"]["ours_same_tables"]), "", "", "", "", ""
        )
    if "day" in results:
        _add_day(costs, "one more day, real history", results["day"])
    if costs.row_count:
        console.print(costs)
    if "growth" in results:
        _show_growth(results["growth"], console)
    if "lake" in results:
        console.print(report_run.lake(results["lake"]))
    if "simulated" in results:
        shops = Table(
            "customers", "days", "events", "seconds", "events / s", "peak MB", title="Simulated shops"
        )
        for shop in results["simulated"]:
            sizes = [f"{shop[name]:,}" for name in ("customers", "days", "events")]
            shops.add_row(*sizes, *(f"{shop[name]:,.0f}" for name in ("wall", "rate", "peak_mb")))
        console.print(shops)
    if "pandas" in results:
        rows = ", ".join(f"{name} {count:,}" for name, count in results["pandas"]["rows"].items())
        console.print(f"The pandas script yields the same rows: {rows}.\n")
    if "btyd" in results:
        console.print(_fits(results["btyd"]))
    if "churn" in results:
        console.print(_training(results["churn"]))
    if "demand" in results:
        console.print(_searches(results["demand"]))
    if "demand-coverage" in results:
        console.print(report_demand.coverage(results["demand-coverage"]))
    if "demand-weeks" in results:
        console.print(report_demand.weeks(results["demand-weeks"]))
    if "methods" in results:
        for found in report_methods.tables(results["methods"]):
            console.print(found)
    if "lightgbm" in results:
        console.print(report_models.candidates(results["lightgbm"]))
    if "score-turnover" in results:
        console.print(report_models.turnover(results["score-turnover"]))
    if "experiments" in results:
        console.print(report_experiments.intervals(results["experiments"]))
    if "peers" in results:
        _show_peers(results["peers"], console)
    if "recommend" in results:
        console.print(_lists(results["recommend"]))
    if "uplift" in results:
        console.print(report_actions.uplift(results["uplift"]))
    if "action-plan" in results:
        console.print(report_actions.plans(results["action-plan"]))
    if "score-scale" in results:
        console.print(report_actions.scores(results["score-scale"]))
    if "acting" in results:
        console.print(report_actions.acting(results["acting"]))
    if "allocation" in results:
        console.print(report_actions.allocations(results["allocation"]))
    if "report" in results:
        console.print(report_actions.page(results["report"]))
    for part in ("scale", "scale-plan"):
        for found in report_scale.tables(results[part]) if part in results else ():
            console.print(found)
    if "learning" in results:
        console.print(report_scale.learning(results["learning"]))
    table = Table("goal", "measured", "limit", "met", title="Goals")
    for goal in goals(results):
        table.add_row(goal.name, f"{goal.measured:,.2f}", goal.limit, "[green]yes" if goal.met else "[red]no")
    console.print(table)


def _fits(btyd: dict[str, Any]) -> Table:
    table = Table(
        "customers", "fit", "seconds", "/ our BG/NBD", "parameters", title="Fits of purchase models"
    )
    for dataset, fits in btyd.items():
        for name, found in fits.items():
            ratio = found["seconds"] / fits["bgnbd"]["seconds"]
            parameters = " ".join(
                f"{key} {value:.4g}" for key, value in found["fit"].items() if key != "log_likelihood"
            )
            table.add_row(dataset, name, f"{found['seconds']:.3f}", f"{ratio:,.1f}", parameters)
    return table


def _training(found: dict[str, Any]) -> Table:
    title = f"A churn training: {found['customers']:,} customers, eight snapshots, {found['cores']} cores"
    table = Table("part", "seconds", "share", title=title)
    wall, mlflow = found["wall"], found["mlflow"] + found["first_open"]
    diagnostics = found["candidates"] - found["mlflow_of_candidates"]
    parts = {
        "evaluation": found["evaluation"],
        "figures and diagnostics": diagnostics,
        "MLflow": mlflow,
        "Dagster, reading, writing": wall - found["evaluation"] - diagnostics - mlflow,
    }
    for name, seconds in parts.items():
        table.add_row(name, f"{seconds:.1f}", f"{seconds / wall:.0%}")
    return table


def _searches(demand: dict[str, Any]) -> Table:
    table = Table("what", "seconds a series", "statsmodels", "ratio", title="Demand, one thread")
    for name, fits in demand["search"].items():
        if isinstance(fits, dict):
            numbers = (f"{fits['ours']:.3f}", f"{fits['plain']:.2f}", f"{fits['ratio']:,.0f}")
            table.add_row(f"ARIMA, {name}", *numbers)
    for evaluation in demand["evaluations"]:
        for period in ("days", "weeks"):
            each = evaluation[period] / evaluation["series"]
            table.add_row(f"evaluation of {evaluation['series']} series, {period}", f"{each:.3f}", "", "")
    return table


def _lists(shops: list[dict[str, Any]]) -> Table:
    table = Table(
        "customers",
        "purchases",
        "read, s",
        "train, s",
        "all lists, s",
        "wall",
        "a thousand lists, s",
        "peak MB",
        title="Recommendations, 20,000 products, seconds of a processor",
    )
    for shop in shops:
        table.add_row(
            f"{shop['customers']:,}",
            f"{shop['purchases']:,}",
            f"{shop['read']:,.0f}",
            f"{shop['train']:,.0f}",
            f"{shop['list']:,.0f}",
            f"{shop['listed_wall']:,.0f}",
            f"{shop['a_thousand']:.2f}",
            f"{shop['peak_mb']:,.0f}",
        )
    return table


def _show_peers(peers: dict[str, Any], console: Console) -> None:
    similarity = Table(
        "pairs", "method", "seconds", "/ scipy", "peak MB", title="The hundred nearest of 5,000 products"
    )
    for size, methods in peers["similarity"].items():
        for method, found in methods.items():
            ratio = found["seconds"] / methods["scipy"]["seconds"]
            peak = f"{found['peak_mb']:,.0f}" if "peak_mb" in found else ""
            similarity.add_row(f"{size:,}", method, f"{found['seconds']:.2f}", f"{ratio:.2f}", peak)
    console.print(similarity)
    methods = Table(
        "method",
        "fit, s",
        "lists, s",
        "NDCG@10 all",
        "NDCG@10 new",
        title="Online Retail II, 60 days from 2011-10-10, seconds of one processor",
    )
    for name, found in peers.items():
        if name != "similarity":
            methods.add_row(
                name,
                *(f"{found[k]:.1f}" for k in ("fit", "list")),
                *(f"{found[k]:.4f}" for k in ("ndcg_all", "ndcg_new")),
            )
    console.print(methods)


def _add_day(table: Table, name: str, found: dict[str, Any]) -> None:
    middle = found["extra"]["median"]
    table.add_row(name, *_split(middle["whole"]), f"{found['extra']['peak_mb']:,.0f}")
    for group in ("ingestion", "roll-ups", "views and seeds", "publication"):
        table.add_row(f"  {group}", *_split(middle[group])[:-1], "", "")
    table.add_row("  its week's snapshot, apart", *_split(middle["snapshot"]), "")


def _show_growth(growth: dict[str, Any], console: Console) -> None:
    """One row for each size of history."""
    table = Table(
        "history, events",
        "ingestion\nSQL",
        "ingestion\nfile + Python",
        "roll-ups\nSQL",
        "roll-ups\nfile + Python",
        "both",
        "ratio",
        "book-\nkeeping",
        "views,\nseeds",
        "snapshot",
        "publi-\ncation",
        "written /\nsize MB",
        "peak MB\nload / day",
        title="One more day on a growing history, seconds",
    )
    smallest, _ = ends(growth)
    for found in sorted(growth.values(), key=lambda size: size["events"]):
        middle = found["extra"]["median"]
        cells = []
        for group in ("ingestion", "roll-ups"):
            cells += _numbers(middle[group]["sql"], middle[group]["file"] + middle[group]["python"])
        table.add_row(
            f"{found['events']:,}",
            *cells,
            *_numbers(middle["day"]["own"], cost(found, "own") / cost(smallest, "own")),
            *_numbers(middle["bookkeeping"], middle["views and seeds"]["own"], middle["snapshot"]["own"]),
            *_numbers(middle["publication"]["own"]),
            f"{middle['written_mb']:,.1f} / {middle['size_mb']:,.0f}",
            f"{found['history']['peak_mb']:,.0f} / {found['extra']['peak_mb']:,.0f}",
        )
    console.print(table)
    _, largest = ends(growth)
    control = largest["extra"]["median"]["bookkeeping"] / smallest["extra"]["median"]["bookkeeping"]
    console.print(
        f"Bookkeeping, which knows nothing of the history, took {control:,.2f} times as long beside the "
        "largest as beside the smallest: so far apart are two measurements of the same on this machine.\n"
    )


def _split(seconds: dict[str, float]) -> list[str]:
    return _numbers(*(seconds[kind] for kind in ("wall", "sql", "file", "python", "dagster")))


def _numbers(*values: float) -> list[str]:
    return [f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}" for value in values]
