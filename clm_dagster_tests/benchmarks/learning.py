"""Learning curves of churn and customer value over customers, on a large simulated shop.

Belongs here: the shop, its evaluation, and the sizes of the curve. Does not: the curve
(`statistics.evaluation.learning`), output (`report_scale`).

Only purchases are simulated, and only the snapshots of one evaluation are built, a quarter apart, by the project's own
SQL. Few candidates are enough: a curve is of the one that wins.
"""

import shutil
import time
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clm_dagster_tests.benchmarks.recommend_scale import QUIET

if TYPE_CHECKING:
    import pandas as pd

    from clm_dagster.platform.dbt_project.project import Project
    from clm_dagster.platform.warehouse import Connection
    from clm_dagster.statistics.evaluation.learning import LearningCurve

DAYS, HORIZON, SPACING = 1_095, 90, 91
PARTS = tuple(2.0**-power for power in range(7, -1, -1))
CANDIDATES = {
    "churn": ("recency", "bgnbd", "logistic", "boosting"),
    "value": ("btyd", "boosting_ratio", "ridge_sqrt"),
}
_UPSTREAM = ("customer_daily", "totals_daily", "stg_order_lines", "stg_customers", "identifiers_daily")


def measure(work: str, customers: int) -> dict[str, Any]:
    """Simulate one shop and measure both curves, each in a process of its own."""
    from clm_dagster_tests.benchmarks import children

    folder = f"{work}/learning"
    made = children.run("learning:shop", folder=folder, customers=customers)
    found = {
        domain: children.run("learning:curve", folder=folder, domain=domain, end=made["end"])
        for domain in CANDIDATES
    }
    shutil.rmtree(folder)
    return {"customers": customers, **found}


def shop(folder: str, customers: int) -> dict[str, Any]:
    """Simulate a shop, and build the daily tables of its purchases."""
    import duckdb

    from clm_dagster.domains.ingest.contract import read_contract
    from clm_dagster.domains.ingest.loading import create_tables
    from clm_dagster.platform.dbt_project.building import build
    from clm_dagster.platform.warehouse import Connection
    from clm_dagster.simulate.parameters import Parameters
    from clm_dagster.simulate.shop import simulate

    parameters = Parameters(customers=customers, days=DAYS, extra_lines=0.0, **QUIET)
    made = simulate(parameters, Path(folder) / "shop")
    own = duckdb.connect(f"{folder}/learning.duckdb", config={"memory_limit": "3GB"})
    connection = Connection(own)
    project = _project(parameters.start)
    connection.execute("create schema raw")
    create_tables(connection, read_contract(project).values())
    connection.execute(f"""
        insert into raw.events by name
        select event_id, 'purchase' as event_type, event_at::timestamp as event_at, event_at::timestamp as known_at,
            customer_id, order_id, product_id, quantity::bigint as quantity, unit_price::decimal(18,4) as unit_price,
            (quantity::bigint * unit_price::decimal(18,4))::decimal(18,4) as line_amount, country,
            1 as exchange_rate, false as deleted
        from read_parquet('{made.inbox}/events/*.parquet', union_by_name = true)
        where event_type = 'purchase' and event_id like 'e%'
        order by event_at
    """)
    shutil.rmtree(f"{folder}/shop")
    build(connection, project, _UPSTREAM, "built", {}, start=parameters.start, end=parameters.end)
    own.close()
    return {"start": str(parameters.start), "end": str(parameters.end)}


def curve(folder: str, domain: str, end: str) -> dict[str, Any]:
    """Evaluate one domain at the end of the shop, and return the curve of its winner."""
    import duckdb

    from clm_dagster.platform.warehouse import Connection
    from clm_dagster.statistics.evaluation import evaluation_plan

    settings, label, where = _of_domain(domain)
    own = duckdb.connect(f"{folder}/learning.duckdb", config={"memory_limit": "3GB"})
    connection = Connection(own)
    first = connection.scalar("select min(activity_date) from built.customer_daily")
    test = date.fromordinal(date.fromisoformat(end).toordinal() - HORIZON)
    plan = evaluation_plan(test, first, settings)
    project = _project(first)
    features, labels = [], []
    for day in plan.snapshots:
        one, other = _tables(connection, project, day, label, where)
        features.append(one)
        labels.append(other)
    own.close()
    return _evaluated(domain, features, labels, plan, settings)


def _evaluated(
    domain: str, features: "list[pd.DataFrame]", labels: "list[pd.DataFrame]", plan: Any, settings: Any
) -> dict[str, Any]:
    import pandas as pd

    from clm_dagster.domains.churn import candidates as churn
    from clm_dagster.domains.churn.evaluate import evaluate_candidates as evaluate_churn
    from clm_dagster.domains.churn.learning import customer_curve as churn_curve
    from clm_dagster.domains.value import candidates as value
    from clm_dagster.domains.value.evaluate import evaluate_candidates as evaluate_value
    from clm_dagster.domains.value.learning import customer_curve as value_curve

    both = pd.concat(features, ignore_index=True), pd.concat(labels, ignore_index=True)
    features.clear()
    labels.clear()
    rows, wanted, start = len(both[0]), CANDIDATES[domain], time.process_time()
    found: LearningCurve | None
    if domain == "churn":
        chosen = [one for one in churn.candidates() if one.name in wanted]
        churned = evaluate_churn(*both, plan, settings, chosen, with_race=False)
        winner, evaluated = churned.winner, time.process_time()
        found = churn_curve(churned, 1.0, parts=PARTS)
    else:
        spent = evaluate_value(
            *both, plan, settings, [one for one in value.candidates() if one.name in wanted]
        )
        winner, evaluated = spent.winner, time.process_time()
        found = value_curve(spent, 1.0, parts=PARTS)
    assert found is not None
    return {
        "winner": winner,
        "rows": rows,
        "metric": found.metric,
        "values": {str(size): value for size, value in found.values.items()},
        "gain": [found.gain.value, found.gain.low, found.gain.high],
        "is_enough": found.is_enough,
        "evaluation_seconds": evaluated - start,
        "curve_seconds": time.process_time() - evaluated,
    }


def _of_domain(domain: str) -> tuple[Any, str, str]:
    """Return the settings of an evaluation, the table of labels, and the predicate of eligible customers."""
    from clm_dagster.domains.churn.queries import eligible_customers
    from clm_dagster.domains.churn.table_settings import EvaluationSettings as ChurnSettings
    from clm_dagster.domains.value.queries import BUYERS
    from clm_dagster.domains.value.table_settings import EvaluationSettings as ValueSettings

    grid: dict[str, Any] = {
        "horizon_days": HORIZON,
        "spacing_days": SPACING,
        "snapshots": 4,
        "validations": 1,
    }
    if domain == "churn":
        chosen = ChurnSettings(**grid)
        return chosen, "churn_labels", eligible_customers(chosen)
    return ValueSettings(**grid), "value_labels", BUYERS


def _project(start: date) -> "Project":
    from clm_dagster.platform.dbt_project.project import load_project
    from clm_dagster.settings import PROJECT_DIR

    return load_project(
        PROJECT_DIR / "dbt_like_sql",
        start_date=str(start),
        churn_horizon_days=HORIZON,
        churn_active_days=365,
        value_horizon_days=HORIZON,
    )


def _tables(
    connection: "Connection", project: "Project", day: date, label: str, where: str
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Return features and labels at one as_of."""
    from clm_dagster.platform.dbt_project.building import build

    given = {name: f"built.{name}" for name in _UPSTREAM}
    as_of = datetime(day.year, day.month, day.day)
    built = build(connection, project, [label], "scratch", given, as_of=as_of)
    return (
        connection.frame(f"select * from {built['customer_features']} where as_of = ? and {where}", [as_of]),
        connection.frame(f"select * from {built[label]} where as_of = ?", [as_of]),
    )


def sizes_of(found: dict[str, Any]) -> Sequence[int]:
    """Return the sizes of a measured curve."""
    return [int(size) for size in found["values"]]
