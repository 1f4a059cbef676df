"""Shops that are loaded with all their snapshots and labels, and their rows at any snapshots.

Belongs here: Online Retail II and a simulated shop, each loaded once in a folder. Does not: models, output.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from clm_dagster.domains.churn import tables as churn_tables
from clm_dagster.domains.churn.queries import eligible_customers
from clm_dagster.domains.churn.queries import read_labels as read_churn_labels
from clm_dagster.domains.churn.table_settings import EvaluationSettings as ChurnSettings
from clm_dagster.domains.value import tables as value_tables
from clm_dagster.domains.value.queries import BUYERS
from clm_dagster.domains.value.queries import read_labels as read_value_labels
from clm_dagster.domains.value.table_settings import EvaluationSettings as ValueSettings
from clm_dagster.platform.trained_models.snapshots import first_day
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings, load_settings

Tables = tuple[pd.DataFrame, pd.DataFrame]
# The number of customers of each simulated shop.
SIMULATED = {"simulated": 4_000}
DAYS = 730
_FIRST, _END = date(2024, 1, 1), date(2025, 12, 31)


def load(name: str, reference: str, folder: str) -> dict[str, Any]:
    """Load a shop into `folder` and take all its snapshots, without training."""
    from clm_dagster.shop_run import run_shop

    run_shop(settings_of(name, reference, folder), lambda title, total: lambda name, done: None)
    return {}


def settings_of(name: str, reference: str, folder: str) -> Settings:
    """Return the settings of a shop. A simulated shop is written first, if it is not there."""
    data_dir = Path(folder) / name
    if name not in SIMULATED:
        real = Path(reference) / "online_retail_ii" / "online_retail_II.csv.gz"
        return load_settings(source=name, input=str(real), data_dir=data_dir, train_count=0)
    home = data_dir / "shop"
    if not home.exists():
        from clm_dagster.simulate.parameters import Parameters
        from clm_dagster.simulate.shop import simulate

        simulate(Parameters(customers=SIMULATED[name], days=DAYS, start=_FIRST), home)
    return load_settings(
        source="generic",
        input=str(home / "inbox"),
        data_dir=data_dir,
        train_count=0,
        start_date=_FIRST,
        end_date=_END,
        # The simulated deliveries have planted faults.
        max_rejected_share=0.5,
    )


@dataclass
class LoadedShop:
    """A loaded shop. last: the end of its days. first: the day by which it had enough customers."""

    settings: Settings
    connection: Connection = field(repr=False)

    @classmethod
    def open(cls, name: str, reference: str, folder: str) -> "LoadedShop":
        """Open a shop that `load` has loaded, to read only."""
        settings = settings_of(name, reference, folder)
        return cls(settings, Connection(duckdb.connect(str(settings.warehouse_path), read_only=True)))

    @property
    def first(self) -> date:
        """The day by which enough customers for an evaluation had ordered."""
        return first_day(self.connection, date(9999, 1, 1))

    @property
    def weeks(self) -> list[date]:
        """The as_ofs of all snapshots, in order."""
        found = self.connection.execute("select distinct as_of::date from core.customer_features order by 1")
        return [row[0] for row in found]

    @property
    def churn_settings(self) -> ChurnSettings:
        """The settings of the shop's churn evaluations."""
        return churn_tables.evaluation_settings(self.settings)

    @property
    def value_settings(self) -> ValueSettings:
        """The settings of the shop's value evaluations."""
        return value_tables.training_settings(self.settings).evaluation

    def churn(self, days: Sequence[date], known: date) -> Tables:
        """Return the active customers at these as_ofs, and the labels that were mature at `known`."""
        eligible = eligible_customers(self.churn_settings)
        return self._features(days, eligible), read_churn_labels(self.connection, known, days)

    def value(self, days: Sequence[date], known: date) -> Tables:
        """Return the customers with an order at these as_ofs, and the labels that were mature at `known`."""
        return self._features(days, BUYERS), read_value_labels(self.connection, known, days)

    def active_between(self, start: date, end: date) -> set[str]:
        """Return the customers with any event in [start, end)."""
        found = self.connection.execute(
            "select distinct customer_id from core.customer_daily where activity_date >= ? and activity_date < ?",
            [start, end],
        )
        return {row[0] for row in found}

    def _features(self, days: Sequence[date], where: str) -> pd.DataFrame:
        return self.connection.frame(
            f"select * from core.customer_features where as_of::date in (select unnest(?::date[])) and {where} "
            "order by as_of, customer_id",
            [list(days)],
        )
