"""Twenty stationary worlds of the simulated shop: the intervals contain the planted parameters often enough."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clm_dagster.simulate.parameters import STATIONARY
from clm_dagster.statistics.btyd import BGNBD, GammaGamma, Histories, days
from clm_dagster_tests.simulate.shop import make

pytestmark = pytest.mark.slow
SEEDS = 20
TRUTH = {"r": "rate_shape", "alpha": "rate_days", "a": "dropout_a", "b": "dropout_b"}
SPEND = {"p": "spend_p", "q": "spend_q", "gamma": "spend_gamma"}


def test_nine_in_ten_intervals_contain_the_planted_parameter(tmp_path: Path) -> None:
    """Check 80 intervals of BG/NBD and 60 of Gamma-Gamma, each of 95%, and the expected revenue of both."""
    contained: dict[str, list[bool]] = {name: [] for name in TRUTH | SPEND}
    ratios = []
    for seed in range(SEEDS):
        shop = make(tmp_path / str(seed), customers=2500, days=200, products=30, seed=seed, world=STATIONARY)
        planted = shop.parameters
        orders = shop.query("""
            select order_id, any_value(customer_id) as customer_id, min(event_at) as at,
                sum(quantity * unit_price) as worth
            from events where event_type = 'purchase' and customer_id is not null group by order_id
        """)
        shop.close()
        orders["t"] = (orders["at"] - pd.Timestamp(planted.start)) / pd.Timedelta(days=1)
        until = planted.days - 60.0  # the last sixty days are forecast
        past, later = orders[orders.t < until], orders[orders.t >= until]
        # Use instants, not days: two orders on one day are two orders.
        lives = past.groupby("customer_id").agg(
            n=("t", "size"), first=("t", "min"), last=("t", "max"), worth=("worth", "mean")
        )
        histories = Histories(
            lives.n.to_numpy(float) - 1,
            days((lives["last"] - lives["first"]).to_numpy()),
            days((until - lives["first"]).to_numpy()),
        )
        purchases = BGNBD.fit(histories)
        count, worth = lives.n.to_numpy(float), lives.worth.to_numpy()
        spend = GammaGamma.fit(count, worth)
        for fit, names in ((purchases, TRUTH), (spend, SPEND)):
            for name, (low, high) in fit.intervals(0.95).items():
                contained[name].append(bool(low < getattr(planted, names[name]) < high))
        expected = purchases.model.expected_purchases(histories, days(60)) * spend.model.expected_spend(
            count, worth
        )
        actual = later[later.customer_id.isin(lives.index)].worth.sum()
        ratios.append(expected.sum() / actual)
    assert np.mean([hit for name in TRUTH for hit in contained[name]]) >= 0.9, contained
    assert np.mean([hit for name in SPEND for hit in contained[name]]) >= 0.85, contained
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)
