"""Churn scores and expected spend of a million customers, in one piece and in shards.

Belongs here: the customers, seconds, memory. Does not: reading the warehouse, training, output (`report_actions`).

The customers are those of a simulated shop, each many times over.
"""

import pickle
import shutil
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pandas as pd

from clm_dagster.platform.dbt_project.project import load_project
from clm_dagster.platform.python_tables.in_shards import Computed, in_one_step
from clm_dagster.platform.python_tables.parquet_buffer import ParquetBuffer
from clm_dagster.platform.python_tables.shards import CustomerRows, Shards
from clm_dagster.platform.python_tables.shelf import Shelf
from clm_dagster.platform.trained_models.champions import WHOLE, Choice, Served
from clm_dagster.platform.trained_models.scoring import Scoring
from clm_dagster.settings import PROJECT_DIR

TABLES = {"churn": "marts.churn_scores", "value": "marts.customer_value"}
_HISTORY = 500


def prepare(out: str, customers: int) -> dict[str, Any]:
    """Train both models on a simulated shop, and write its customers as often as asked for."""
    from clm_dagster.domains.churn import candidates as churn_candidates
    from clm_dagster.domains.churn import evaluate as churn_evaluate
    from clm_dagster.domains.value import candidates as value_candidates
    from clm_dagster.domains.value import evaluate as value_evaluate
    from clm_dagster_tests.domains.churn.shop import FIRST_DAY, SETTINGS, TEST, Shop, simulated_purchases
    from clm_dagster_tests.domains.value import shop as value_shop

    last = FIRST_DAY + timedelta(days=_HISTORY)
    churn = Shop.load(simulated_purchases(), FIRST_DAY, last, 60).evaluation(TEST, FIRST_DAY, SETTINGS)
    chosen = [one for one in churn_candidates.candidates() if one.name in ("recency", "boosting")]
    model = churn_evaluate.evaluate_candidates(*churn, SETTINGS, chosen).model
    _keep(out, "churn", model, *churn[:2], SETTINGS, TEST)
    every = customers_of(churn[0], TEST)
    first = value_shop.FIRST_DAY
    spending = Shop.load(value_shop.spending_purchases(), first, first + timedelta(days=_HISTORY), 60)
    value = value_shop.evaluation_of(spending, value_shop.TEST, first, value_shop.SETTINGS)
    chosen_values = [one for one in value_candidates.candidates() if one.name in ("btyd", "boosting_ratio")]
    worth = value_evaluate.evaluate_candidates(*value, value_shop.SETTINGS, chosen_values).model
    _keep(out, "value", worth, *value[:2], value_shop.SETTINGS, value_shop.TEST)
    for name, rows in (("churn", every), ("value", customers_of(value[0], value_shop.TEST))):
        copies = -(-customers // len(rows))
        with duckdb.connect() as connection:
            connection.register("rows", rows)
            connection.execute(
                f"copy (select 'c' || lpad(n::varchar, 6, '0') || customer_id as customer_id, * exclude (customer_id) "
                f"from rows, range({copies}) r(n) order by 1 limit {customers}) "
                f"to '{out}/{name}.parquet' (format parquet, row_group_size 20480)"
            )
    return {}


def customers_of(features: pd.DataFrame, day: Any) -> pd.DataFrame:
    """Return the customers of a snapshot who ordered within a year."""
    now = features[(features["as_of"] == pd.Timestamp(day)) & (features["recency_days"] <= 365)]
    return now[now["order_days"] > 0].assign(expected_margin=1.0)


def score(out: str, kind: str, customers: int, shard_customers: int) -> dict[str, Any]:
    """Score all customers, and store the rows in a warehouse."""
    types = {
        name: column
        for name, column in load_project(PROJECT_DIR / "dbt_like_sql").nodes[TABLES[kind]].types.items()
        if name != "as_of"
    }
    with duckdb.connect(config={"threads": 1}) as connection:
        cuts = [
            row[0]
            for row in connection.execute(
                f"select customer_id from read_parquet('{out}/{kind}.parquet', file_row_number = true) "
                f"where file_row_number > 0 and file_row_number % {shard_customers or customers + 1} = 0 order by 1"
            ).fetchall()
        ]
        path = Path(out) / f"{kind}.parquet"
        rows = CustomerRows(path, customers, Shards(tuple(cuts)))
        if not cuts:
            rows = CustomerRows.whole(connection.execute(f"select * from '{path}'").df())
    start, used = time.perf_counter(), time.process_time()
    shelf = Path(out) / f"shelf-{kind}"
    computed = _computed(out, kind, rows, list(types), Shelf(shelf if cuts else None))
    output = in_one_step(computed, lambda: ParquetBuffer(types, Path(out)))
    with duckdb.connect(
        f"{out}/{kind}-{shard_customers}.duckdb", config={"memory_limit": "1GB"}
    ) as connection:
        query = "select * from frame"
        if isinstance(output.rows, ParquetBuffer):
            query = output.rows.query
        else:
            connection.register("frame", output.rows)
        connection.execute(f"create or replace table scores as select * from ({query})")
    shutil.rmtree(shelf, ignore_errors=True)
    return {
        "kind": kind,
        "customers": customers,
        "shard_customers": shard_customers,
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - used,
    }


def compare(out: str, kind: str, one: int, other: int) -> dict[str, Any]:
    """Return in how many rows two results differ."""
    with duckdb.connect(config={"memory_limit": "2GB"}) as connection:
        for name, size in (("one", one), ("other", other)):
            connection.execute(f"attach '{out}/{kind}-{size}.duckdb' as {name}_scores (read_only)")
        first, second = (f"select * from {name}_scores.scores" for name in ("one", "other"))
        both = f"(({first}) except all ({second})) union all (({second}) except all ({first}))"
        return {"differing": connection.execute(f"select count(*) from ({both})").fetchall()[0][0]}


def measure(work: str, customers: int, sizes: list[int]) -> list[dict[str, Any]]:
    """Score in shards of each size, 0 for one piece, each in a process of its own, and compare their rows."""
    from clm_dagster_tests.benchmarks import children

    out = Path(work) / "scores"
    out.mkdir()
    children.run("score_scale:prepare", out=str(out), customers=customers)
    found = []
    for kind in TABLES:
        for size in sizes:
            asked = {"out": str(out), "kind": kind}
            row = children.run("score_scale:score", **asked, customers=customers, shard_customers=size)
            found.append(row | children.run("score_scale:compare", **asked, one=sizes[0], other=size))
    shutil.rmtree(out)
    return found


def _keep(out: str, kind: str, *parts: Any) -> None:
    Path(out, f"{kind}.pickle").write_bytes(pickle.dumps(parts))


def _computed(out: str, kind: str, rows: CustomerRows, columns: list[str], shelf: Shelf) -> Computed:
    """Return the computation of a step, without Dagster and MLflow."""
    from clm_dagster.domains.churn import score as churn_score
    from clm_dagster.domains.churn.table_settings import ScoreSettings
    from clm_dagster.domains.value import score as value_score
    from clm_dagster.platform.trained_models.snapshots import SnapshotSettings

    model, features, labels, settings, day = pickle.loads(Path(out, f"{kind}.pickle").read_bytes())
    row = pd.Series(
        {"model_name": kind, "model_version": "1", "as_of": pd.Timestamp(day), "training_data_hash": "h"}
    )
    chosen: Any = (
        ScoreSettings(settings, 50_000, "CLM_TRAIN_CUSTOMERS", 0.2)
        if kind == "churn"
        else SnapshotSettings(settings, 50_000, "CLM_TRAIN_CUSTOMERS")
    )
    work: Any = SimpleNamespace(
        columns=columns, day=day, label=str(day), settings=chosen, shelf=lambda shards: shelf
    )
    scoring: Scoring[Any, Any] = Scoring(work, {WHOLE: Served(Choice(row), model, "baseline")})
    mature = labels[labels["as_of"] + pd.Timedelta(days=settings.horizon_days) <= pd.Timestamp(day)]
    if kind == "value":
        history = features[features["as_of"] <= pd.Timestamp(day)]
        return value_score.score(scoring, value_score.ScoreInputs(rows, history, mature))
    history = features[features["as_of"] < pd.Timestamp(day)]
    bands = pd.DataFrame({"risk_band": ["low", "high"], "from_probability": [0.0, 0.5]})
    nobody = pd.DataFrame(columns=["as_of", "customer_id", "is_active"])
    return churn_score.score(scoring, churn_score.ScoreInputs(rows, history, mature, bands, nobody))
