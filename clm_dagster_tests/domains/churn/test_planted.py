"""Churn of the simulated shop, compared with the planted probabilities."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from clm_dagster.domains.churn.candidates import candidates
from clm_dagster.domains.churn.evaluate import evaluate_candidates
from clm_dagster.domains.churn.table_settings import EvaluationSettings
from clm_dagster.statistics.btyd import BGNBD, Unit, days
from clm_dagster.statistics.evaluation.customers import histories
from clm_dagster_tests.domains.churn.shop import Shop as Loaded
from clm_dagster_tests.simulate.shop import Shop

HORIZON, TEST_DAY = 40, 158


@pytest.mark.slow
def test_probabilities_match_the_planted_ones(stationary: Shop) -> None:
    """In the stationary world active customers order as a Poisson process of a known rate; churned ones never order."""
    planted = stationary.parameters
    start, test = planted.start, planted.start + timedelta(days=TEST_DAY)
    purchases = stationary.query(
        "select customer_id, event_at, order_id, product_id, unit_price * quantity as unit_price, country from events "
        "where event_type = 'purchase' and customer_id is not null order by event_id"
    )
    loaded = Loaded.load(purchases, start, start + timedelta(days=planted.days), HORIZON)
    settings = EvaluationSettings(horizon_days=HORIZON, snapshots=4, validations=1)
    features, labels, plan = loaded.evaluation(test, start, settings)
    few = [
        candidate
        for candidate in candidates()
        if candidate.name in ("recency", "bgnbd", "logistic", "boosting")
    ]
    result = evaluate_candidates(features, labels, plan, settings, few)
    scored = result.test_probabilities.set_index("customer_id")

    truth = stationary.truth("customers").set_index("customer_id").loc[scored.index]
    alive = truth["dropped_out_at"].isna() | (truth["dropped_out_at"] > TEST_DAY)
    true = np.where(alive, np.exp(-truth["purchase_rate"] * HORIZON), 1.0)
    probabilities = scored[result.winner].to_numpy()
    tenths = (
        pd.Series(true - probabilities)
        .groupby(pd.qcut(probabilities, 10, labels=False, duplicates="drop"))
        .mean()
    )
    assert abs((true - probabilities).mean()) < 0.02
    assert tenths.abs().max() < 0.05

    # Whether a customer is alive cannot be observed. The best possible model knows only the planted parameters.
    oracle = BGNBD(
        unit=Unit.DAY, r=planted.rate_shape, alpha=planted.rate_days, a=planted.dropout_a, b=planted.dropout_b
    )
    best = oracle.probability_of_no_purchase(histories(result.inputs.frames[plan.split.test]), days(HORIZON))
    churned = scored["churned"].to_numpy()
    assert roc_auc_score(churned, probabilities) > roc_auc_score(churned, best) - 0.005
    assert roc_auc_score(churned, true) > roc_auc_score(churned, probabilities)
