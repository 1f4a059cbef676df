"""A simulated shop up to the day of a plan, run through the pipeline, and the effects measured on its past campaigns.

Belongs here: the shop's files up to the day, the run, learnt effects. Does not: plans and policies (`acting`).
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from clm_dagster.definitions import build_definitions
from clm_dagster.domains.actions.late_views import rows_of_view
from clm_dagster.domains.actions.table_settings import PlanSettings
from clm_dagster.domains.actions.tables import plan_settings
from clm_dagster.domains.actions.uplift.names import COUNTS, MONEY
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.partitions import key_of_as_of
from clm_dagster.platform.python_tables.partition import PartitionContext, Reading
from clm_dagster.platform.resources import load_sql, warehouse_of
from clm_dagster.settings import Settings, load_settings
from clm_dagster.shop_run import run_shop
from clm_dagster.simulate.parameters import ARMS, Parameters
from clm_dagster.simulate.shop import simulate
from clm_dagster.statistics.uplift import SLearner
from clm_dagster_tests.simulate.campaign_truth import conversions

# The plan is made on a Monday, 15 days after the last of 20 campaigns: its effects are over.
PLAN_DAY, WINDOW = 434, 30
# What a plan and the results of campaigns read, and these.
_SCORES = [
    "marts.customer_value",
    "marts.personas",
    "marts.churn_scores",
    "marts.popular_products",
    "marts.product_affinity",
    "marts.similar_products",
    "marts.recommendations",
    "marts.custom_segments",
    "marts.uplift_scores",
    "marts.next_best_actions",
    "marts.campaign_results",
]
_COUNTS = [*COUNTS, *(name for name in MONEY if name != "discounts")]
_SHARES = ("return_rate", "weekend_order_share", "evening_order_share")


@dataclass(frozen=True)
class Shop:
    """A shop whose days before `as_of` have been run. folder: its files; `full` holds the whole shop."""

    parameters: Parameters
    folder: Path
    settings: Settings

    @property
    def as_of(self) -> datetime:
        """The instant of the plan."""
        return instant(self.parameters, PLAN_DAY)

    @property
    def truth(self) -> pd.DataFrame:
        """The customers' true rates and effects, by customer_id."""
        found = pd.read_parquet(self.folder / "full" / "truth" / "customers.parquet")
        return found.set_index("customer_id", drop=False)

    @contextmanager
    def open(self) -> Iterator[Reading[PlanSettings]]:
        """Open the warehouse, as a plan reads it."""
        project = load_sql(self.settings)
        context = PartitionContext(
            key_of_as_of(self.as_of), self.as_of, None, Version("benchmark"), is_newest=True
        )
        with warehouse_of(self.settings).connect("the benchmark") as connection:
            yield Reading(connection, context, plan_settings(project, self.settings), project)


def instant(parameters: Parameters, day: int) -> datetime:
    """Return the midnight before a day of the shop."""
    return datetime.combine(parameters.start, time()) + timedelta(days=day)


def run_until_plan(folder: Path, customers: int, products: int, seed: int) -> Shop:
    """Simulate a shop, run it on what was delivered before the day of the plan, train churn, score and plan once."""
    parameters = Parameters(customers=customers, days=PLAN_DAY + WINDOW + 1, products=products, seed=seed)
    full = simulate(parameters, folder / "full")
    for file in full.inbox.rglob("*.parquet"):
        if int(file.stem.split("-")[0]) < PLAN_DAY:
            copy = folder / "inbox" / file.parent.name / file.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, copy)
    settings = load_settings(
        source="generic",
        input=str(folder / "inbox"),
        data_dir=folder / "data",
        start_date=parameters.start,
        end_date=instant(parameters, PLAN_DAY).date(),
        max_rejected_share=1,  # the simulated deliveries have planted faults
        train_count=0,
        churn_horizon_days=WINDOW,
        actions_window_days=WINDOW,
        actions_holdout_share=0,  # policies are compared on the same customers
        actions_global_holdout_share=0,
    )
    run_shop(settings, lambda title, total: lambda name, done: None, models=False)
    shop = Shop(parameters, folder, settings)
    # Of the trained models only churn; the naive baselines of the others serve, which a plan does not use.
    _materialize(shop, "models", ["models.churn_model"], PLAN_DAY - WINDOW - 5)
    _materialize(shop, "scores", _SCORES, PLAN_DAY)
    return shop


def _materialize(shop: Shop, job: str, assets: Sequence[str], day: int) -> None:
    os.environ["DAGSTER_HOME"] = str(shop.settings.dagster_home)
    with dg.DagsterInstance.get() as instance:
        build_definitions(shop.settings).resolve_job_def(job).execute_in_process(
            instance=instance,
            partition_key=key_of_as_of(instant(shop.parameters, day)),
            asset_selection=[dg.AssetKey(asset.split(".")) for asset in assets],
        )


def measured_effects(reading: Reading[PlanSettings]) -> pd.DataFrame:
    """Return what a mail of each arm would add to the probability of an order, learnt from past campaigns.

    Columns: customer_id, arm, effect, one row for each known customer and arm. Only contacts whose window is over at
    as_of count, with what was known before each. An effect is nearly in proportion to what a customer buys anyway, so
    the learner is linear in log odds: those of an order without a mail, the arm, and its products with few features.
    """
    connection, is_over = reading.connection, f"basis = 'touches' and matures_on <= date '{reading.day}'"
    customers = "left join staging.stg_customers as customers using (customer_id)"
    with rows_of_view(reading, "campaign_outcomes", is_over) as outcomes:
        past = connection.frame(
            f"""
            with contacts as (
                select customer_id, arm, is_converted,
                    time_bucket(interval 7 day, contacted_on, date '2024-01-01') as as_of
                from {outcomes}
            )
            select features.*, customers.acquisition_channel, contacts.arm, contacts.is_converted
            from contacts inner join core.customer_features as features using (as_of, customer_id) {customers}
            order by features.as_of, features.customer_id
            """
        )
    now = connection.frame(
        f"""
        select features.*, customers.acquisition_channel from core.customer_features as features {customers}
        where features.as_of = timestamp '{reading.as_of}' order by features.customer_id
        """
    )
    both, arm = pd.concat([past, now]), past["arm"]
    outcome = past["is_converted"].to_numpy(float)
    features = _encoded(both)
    anyway = _logistic(0.1).fit(features[: len(past)][arm == ARMS[0]], outcome[arm == ARMS[0]])
    few = np.column_stack([anyway.decision_function(features), _few(both)])
    learnt, asked = few[: len(past)], few[len(past) :]
    found = []
    for name in ARMS[1:]:
        rows = arm.isin([ARMS[0], name]).to_numpy()
        learner = SLearner(_logistic(0.003), propensity=0.5)
        learner.fit(learnt[rows], arm.eq(name).to_numpy(float)[rows], outcome[rows])
        effect = learner.predict(asked)
        found.append(pd.DataFrame({"customer_id": now["customer_id"], "arm": name, "effect": effect}))
    return pd.concat(found, ignore_index=True)


def _logistic(strength: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1_000))


def _few(frame: pd.DataFrame) -> np.ndarray:
    """Return what effects may differ by: channel, value of an order, recency, orders and visits of the last month."""
    value = frame["average_order_value"].astype(float)
    numbers = [
        np.log1p(value.fillna(value.median())),
        np.log1p(frame["recency_days"].fillna(999.0)),
        np.log1p(frame["orders_30d"].astype(float)),
        np.log1p(frame["orders_365d"].astype(float)),
    ]
    return np.column_stack([*numbers, pd.get_dummies(frame["acquisition_channel"], dtype=float)])


def _encoded(frame: pd.DataFrame) -> np.ndarray:
    """Return features as a matrix: counts and money as logarithms, gaps filled, one column for each channel."""
    counts = frame[_COUNTS].astype(float)
    counts["recency_days"] = counts["recency_days"].fillna(999.0)
    counts = counts.apply(lambda column: np.sign(column) * np.log1p(column.abs()))
    numbers = pd.concat([counts, frame[list(_SHARES)].astype(float)], axis=1)
    channels = pd.get_dummies(frame["acquisition_channel"], dtype=float)
    return np.column_stack([numbers.fillna(numbers.median()), frame["recency_days"].isna(), channels])


def coverage(reading: Reading[PlanSettings], shop: Shop) -> pd.DataFrame:
    """Return the measured and the true effect on conversion of each campaign's arms: arm, effect, low, high, truth."""
    connection, truth = reading.connection, shop.truth
    measured = connection.frame(
        """
        select campaign_id, arm, effect, effect_low as low, effect_high as high from marts.campaign_results
        where as_of = ? and basis = 'touches' and metric = 'conversion' and effect is not null order by all
        """,
        [reading.as_of],
    )
    contacted = connection.frame("select distinct campaign_id, customer_id from staging.stg_touches")
    members = {name: truth.loc[rows["customer_id"]] for name, rows in contacted.groupby("campaign_id")}
    true = [
        np.mean(
            conversions(members[name], int(name.removeprefix("mail-")), arm, shop.parameters, WINDOW)
            - conversions(members[name], int(name.removeprefix("mail-")), ARMS[0], shop.parameters, WINDOW)
        )
        for name, arm in zip(measured["campaign_id"], measured["arm"], strict=True)
    ]
    return measured.assign(truth=true)
