"""A complete run of a shop, models and scores included, for the tests of every domain with a trained model.

Belongs here: the shop, and helpers to query it. A test that changes the shop restores it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.domains.churn import evaluate as churn_evaluation
from clm_dagster.domains.churn.candidates import candidates as churn_candidates
from clm_dagster.platform.resources import tracking_of, warehouse_of
from clm_dagster.settings import Settings, load_settings
from clm_dagster.shop_run import run_shop
from clm_dagster_tests.domains.churn.shop import FIRST_DAY, simulated_purchases
from clm_dagster_tests.domains.demand.shop import only_methods
from clm_dagster_tests.shops import quiet

FEW_CHURN = ("recency", "bgnbd", "logistic", "tree")
FEW_DEMAND = ("seasonal_naive", "eight_week_mean", "tsb", "regression", "theta")
END = "2023-11-20"


def few_churn(lightgbm: bool = False) -> tuple[Any, ...]:
    return tuple(entry for entry in churn_candidates(lightgbm) if entry.name in FEW_CHURN)


class Ran:
    """A shop that has run, with what tests ask of it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def query(self, sql: str) -> pd.DataFrame:
        with warehouse_of(self.settings).connect("a test") as connection:
            return connection.frame(sql)

    def execute(self, sql: str) -> None:
        with warehouse_of(self.settings).connect("a test") as connection:
            connection.execute(sql)

    def materialize(self, job: str, key: str, asset: str, **settings: Any) -> dg.ExecuteInProcessResult:
        definitions = build_definitions(self.settings.replace(**settings))
        with at_home(self.settings), dg.DagsterInstance.get() as instance:
            return definitions.resolve_job_def(job).execute_in_process(
                instance=instance,
                partition_key=key,
                asset_selection=[dg.AssetKey(asset.split("."))],
                raise_on_error=False,
            )

    def mlflow(self) -> tuple[Any, str]:
        return tracking_of(self.settings).open()


@contextmanager
def at_home(settings: Settings) -> Iterator[None]:
    """The shop's own Dagster home and few candidates, for as long as the block lasts: other tests have theirs."""
    with pytest.MonkeyPatch.context() as patch, only_methods(*FEW_DEMAND):
        patch.setattr(churn_evaluation, "candidates", few_churn)
        patch.setenv("DAGSTER_HOME", str(settings.dagster_home))
        yield


def run_trained_shop(folder: Path) -> Ran:
    """Run it: two trainings of churn, value and demand with few candidates, thirteen scored snapshots."""
    purchases = simulated_purchases(customers=1500, days=323)
    purchases.assign(
        event_type="purchase", quantity=1, currency="EUR", event_id=[f"e{i}" for i in range(len(purchases))]
    ).to_csv(_made(folder / "inbox") / "events.csv", index=False)
    settings = load_settings(
        source="generic",
        input=str(folder / "inbox"),
        data_dir=folder / "data",
        start_date=str(FIRST_DAY),
        end_date=END,
        churn_horizon_days=30,
        value_horizon_days=30,
        recommend_horizon_days=30,
        contest_snapshots=4,
        train_count=2,
        score_count=13,
        graded_horizons=0,  # the thirteen are old enough to have grades
        demand_products=5,
        actions_consent="assumed",  # it has no customers table
    )
    with at_home(settings):
        run_shop(settings, quiet)
    return Ran(settings)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
