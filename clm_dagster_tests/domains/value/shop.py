"""A simulated shop whose customers differ in their order value, and the evaluation of a shop.

Belongs here: its purchases, and what tests ask of it. Does not: fixtures (`conftest`).
"""

from datetime import date

import numpy as np
import pandas as pd

from clm_dagster.domains.value.table_settings import EvaluationSettings
from clm_dagster.statistics.evaluation import EvaluationPlan, evaluation_plan
from clm_dagster_tests.domains.churn.shop import Shop, simulated_purchases

SETTINGS = EvaluationSettings(horizon_days=60, snapshots=6, validations=2)
TEST = date(2024, 3, 1)
FIRST_DAY = date(2023, 1, 1)

Simulated = tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]


def evaluation_of(shop: Shop, test: date, first_day: date, settings: EvaluationSettings) -> Simulated:
    """Return the features, labels and plan of an evaluation."""
    plan = evaluation_plan(test, first_day, settings)
    return *shop.tables(plan.snapshots, "value_labels"), plan


def spending_purchases(seed: int = 1, customers: int = 700) -> pd.DataFrame:
    """Simulate customers of BG/NBD who differ in their order value."""
    purchases = simulated_purchases(seed, customers)
    rng = np.random.default_rng(seed + 1)
    worth = pd.Series(1 / rng.gamma(3.0, 0.5, customers), index=[f"c{i:04d}" for i in range(customers)])
    price = purchases.unit_price * purchases.customer_id.map(worth)
    return purchases.assign(unit_price=price.clip(lower=0.01).round(2))
