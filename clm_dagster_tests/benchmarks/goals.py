"""The goals that figures are compared with.

Belongs here: limits, and the figure that each applies to. Does not: measuring, output (`report`).
"""

from dataclasses import dataclass
from typing import Any

MAX_SQL_RATIO = 1.1
MIN_PANDAS_RATIO = 2.0
MAX_EXPERT_RATIO = 1.5
MIN_SEARCH_RATIO = 20.0
MAX_EVALUATION = 0.8
MAX_GROWTH = 1.2
MAX_PEAK_MB = 2_000.0
MAX_LISTS_MB = 6_000
MIN_EVENTS_A_SECOND = 500_000.0
MAX_SIMULATION_MB = 4_000.0
MIN_FIT_RATIO = 10.0
MAX_TRAINING_SECONDS = 120.0
MAX_MILLION_SECONDS = 10.0
MAX_ANYTIME_WRONG = 0.05
MAX_ANYTIME_WIDTH = 1.6
MAX_PAGE_SECONDS = 1.5
MAX_PAGE_MB = 3.0


@dataclass(frozen=True)
class Goal:
    """One goal and its measured value."""

    name: str
    measured: float
    limit: str
    met: bool


def goals(results: dict[str, Any]) -> list[Goal]:
    """Return every goal of the measured parts."""
    found = []
    if "first" in results:
        ratio = results["first"]["sql_ratio"]
        found.append(
            Goal("SQL of the first load / bare DuckDB", ratio, f"<= {MAX_SQL_RATIO}", ratio <= MAX_SQL_RATIO)
        )
    if "pandas" in results:
        ratio = results["pandas"]["ratio"]
        found.append(
            Goal(
                "pandas script / first load without bookkeeping",
                ratio,
                f">= {MIN_PANDAS_RATIO}",
                ratio >= MIN_PANDAS_RATIO,
            )
        )
    if "expert" in results:
        ratio = results["expert"]["ratio"]
        found.append(
            Goal(
                "first load without bookkeeping / an expert's SQL",
                ratio,
                f"<= {MAX_EXPERT_RATIO}",
                ratio <= MAX_EXPERT_RATIO,
            )
        )
    if len(results.get("growth", {})) > 1:
        smallest, largest = ends(results["growth"])
        for what, key in (("without", "own"), ("with", "wall")):
            ratio = cost(largest, key) / cost(smallest, key)
            name = f"one more day, ingestion and roll-ups {what} bookkeeping: largest / smallest history"
            found.append(Goal(name, ratio, f"<= {MAX_GROWTH}", ratio <= MAX_GROWTH))
    if "btyd" in results:
        found += _fit_goals(results["btyd"])
    if "churn" in results:
        wall = results["churn"]["wall"]
        goal = "churn training with everything, s"
        found.append(Goal(goal, wall, f"< {MAX_TRAINING_SECONDS:.0f}", wall < MAX_TRAINING_SECONDS))
    if "demand" in results:
        found += _demand_goals(results["demand"])
    if "experiments" in results:
        found += _interval_goals(results["experiments"]["rows"])
    if "peers" in results:
        found += _peer_goals(results["peers"])
    if "recommend" in results:
        found += _list_goals(results["recommend"])
    peak = max(peaks(results), default=None)
    if peak is not None:
        found.append(Goal("peak memory, MB", peak, f"< {MAX_PEAK_MB:.0f}", peak < MAX_PEAK_MB))
    for shop in results.get("simulated", [])[-1:]:
        rate, memory = shop["rate"], shop["peak_mb"]
        limit = f">= {MIN_EVENTS_A_SECOND:,.0f}"
        found.append(Goal("events simulated a second", rate, limit, rate >= MIN_EVENTS_A_SECOND))
        limit = f"< {MAX_SIMULATION_MB:,.0f}"
        found.append(Goal("peak memory of simulating, MB", memory, limit, memory < MAX_SIMULATION_MB))
    if "report" in results:
        found += _page(results["report"])
    return found


def _interval_goals(rows: list[dict[str, Any]]) -> list[Goal]:
    wrong = max(row["anytime_wrong"] for row in rows)
    width = max(row["width"] for row in rows)
    return [
        Goal(
            "anytime intervals ever wrong, the worst",
            wrong,
            f"<= {MAX_ANYTIME_WRONG}",
            wrong <= MAX_ANYTIME_WRONG,
        ),
        Goal("width, anytime / fixed, the worst", width, f"< {MAX_ANYTIME_WIDTH}", width < MAX_ANYTIME_WIDTH),
    ]


def _fit_goals(btyd: dict[str, Any]) -> list[Goal]:
    small = btyd["cdnow"]
    found = []
    for name, theirs in small.items():
        if name.startswith(("plain", "lifetimes")):
            ratio = theirs["seconds"] / small["bgnbd"]["seconds"]
            goal = f"CDNOW: {name} / ours"
            found.append(Goal(goal, ratio, f">= {MIN_FIT_RATIO}", ratio >= MIN_FIT_RATIO))
    for model in ("bgnbd", "mbgnbd", "paretonbd"):
        seconds = btyd["million"][model]["seconds"]
        goal = f"{model} on a million customers, s"
        found.append(Goal(goal, seconds, f"< {MAX_MILLION_SECONDS:.0f}", seconds < MAX_MILLION_SECONDS))
    return found


def _demand_goals(demand: dict[str, Any]) -> list[Goal]:
    found = []
    for name, fits in demand["search"].items():
        if isinstance(fits, dict):
            goal = f"ARIMA, {name}: statsmodels' search / ours"
            found.append(
                Goal(goal, fits["ratio"], f">= {MIN_SEARCH_RATIO}", fits["ratio"] >= MIN_SEARCH_RATIO)
            )
    small, large = demand["evaluations"][0], demand["evaluations"][-1]
    each = large["days"] / large["series"]
    found.append(Goal("evaluation of a daily series, s", each, f"< {MAX_EVALUATION}", each < MAX_EVALUATION))
    growth = each / (small["days"] / small["series"])
    goal = f"a daily series among {large['series']} / among {small['series']}"
    found.append(Goal(goal, growth, f"<= {MAX_GROWTH}", growth <= MAX_GROWTH))
    return found


def _list_goals(shops: list[dict[str, Any]]) -> list[Goal]:
    small, large = shops[0], shops[-1]
    growth, memory = large["a_thousand"] / small["a_thousand"], large["peak_mb"]
    goal = f"a thousand lists of {large['customers']:,} customers / of {small['customers']:,}"
    limit = f"< {MAX_LISTS_MB:,.0f}"
    return [
        Goal(goal, growth, f"<= {MAX_GROWTH}", growth <= MAX_GROWTH),
        Goal("peak memory of recommending, MB", memory, limit, memory < MAX_LISTS_MB),
    ]


def _peer_goals(peers: dict[str, Any]) -> list[Goal]:
    ours = peers["two_stages"]
    found = [
        Goal(f"two stages, NDCG@10 {name}", ours[f"ndcg_{name}"], f"> {least}", ours[f"ndcg_{name}"] > least)
        for name, least in (("all", 0.38), ("new", 0.12))
    ]
    if "als" in peers:
        ratio = (ours["fit"] + ours["list"]) / (peers["als"]["fit"] + peers["ease"]["fit"])
        found.append(Goal("two stages with their lists / one fit of ALS and EASE", ratio, "< 1", ratio < 1))
        # As first stages they would be fitted at each training instant and at as_of, like ours.
        times = ours["instants"]
        goal = f"the same / fits of ALS and EASE at the {times} instants"
        found.append(Goal(goal, ratio / times, "< 1", ratio / times < 1))
    return found


def cost(found: dict[str, Any], kind: str) -> float:
    """Ingestion and roll-ups of one more day; `wall` adds all of Dagster's bookkeeping."""
    middle = found["extra"]["median"]
    return float(middle["day"]["own"] + (middle["bookkeeping"] if kind == "wall" else 0.0))


def ends(growth: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    sizes = sorted(growth.values(), key=lambda size: size["events"])
    return sizes[0], sizes[-1]


def peaks(results: dict[str, Any]) -> list[float]:
    found = [results["first"]["ours"]["peak_mb"]] if "first" in results else []
    for size in [*results.get("growth", {}).values(), *([results["day"]] if "day" in results else [])]:
        found += [size["history"]["peak_mb"], size["extra"]["peak_mb"]]
    return found


def _page(found: dict[str, Any]) -> list[Goal]:
    goals = [
        Goal("the report's page, MB", found["size_mb"], f"< {MAX_PAGE_MB}", found["size_mb"] < MAX_PAGE_MB)
    ]
    if found["loads"]:
        seconds = sorted(found["loads"])[len(found["loads"]) // 2]
        goals.append(
            Goal(
                "seconds until the report's charts are drawn, a million customers",
                seconds,
                f"<= {MAX_PAGE_SECONDS}",
                seconds <= MAX_PAGE_SECONDS,
            )
        )
    return goals
