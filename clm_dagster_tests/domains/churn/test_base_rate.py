"""The base-rate forecast, on a shop whose base rate is known."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from clm_dagster.domains.churn.base_rate import UNTRIED_ERROR, BaseRates
from clm_dagster.domains.churn.purchase_model import no_purchase_probability
from clm_dagster.statistics.btyd import BGNBD, Unit
from clm_dagster.statistics.evaluation import year_on_grid

HORIZON, STEP = 84, 28
LAST = date(2024, 12, 30)
MODEL = BGNBD(Unit.DAY, r=0.9, alpha=80.0, a=0.2, b=9.0)


def simulate(wave: float, trend: float = 0.0, steps: int = 32) -> BaseRates:
    """Return snapshots of one grid whose labels and steps differ from BG/NBD by a yearly wave and a trend."""
    rng = np.random.default_rng(0)
    n = 4000
    ids = [f"c{i}" for i in range(n)]
    days = [LAST - timedelta(days=STEP * k) for k in range(steps)][::-1]
    frames: dict[date, pd.DataFrame] = {}
    labels: dict[date, np.ndarray] = {}
    ordered = np.zeros(n, dtype=bool)
    for place, day in enumerate(days):
        tenure = rng.integers(100, 700, n)
        recency = np.where(ordered, rng.integers(1, STEP + 1, n), rng.integers(STEP + 1, 100, n))
        count = np.where(recency == tenure, 1, rng.integers(2, 9, n))
        frame = pd.DataFrame(
            {"customer_id": ids, "order_days": count, "tenure_days": tenure, "recency_days": recency}
        )
        off = wave * np.sin(2 * np.pi * place / 13) + trend * place
        for days_ahead in (HORIZON, STEP):
            expected = logit(no_purchase_probability(MODEL, frame, days_ahead).mean())
            none = np.zeros(n)
            none[: round(n * expit(expected + off))] = 1
            if days_ahead == HORIZON:
                labels[day] = none
            else:
                ordered = none == 0
        frames[day] = frame
    return BaseRates(frames, labels, dict.fromkeys(days, MODEL), HORIZON, STEP)


def actual_rate(base_rates: BaseRates, day: date) -> float:
    return float(base_rates.labels[day].mean())


def test_a_season_is_found_and_forecast() -> None:
    base_rates = simulate(wave=0.6)
    found = base_rates.forecast(LAST, [day for day in base_rates.frames if day < LAST])
    assert found.method == "season" and found.tried["season"] >= 5
    assert found.rate == pytest.approx(actual_rate(base_rates, LAST), abs=0.01)
    assert abs(found.rates["constant_rate"] - actual_rate(base_rates, LAST)) > 0.03
    assert found.errors["season"] < UNTRIED_ERROR < found.errors["constant_rate"]


def test_a_season_with_a_trend_is_forecast_as_well() -> None:
    base_rates = simulate(wave=0.6, trend=0.03)
    found = base_rates.forecast(LAST, [day for day in base_rates.frames if day < LAST])
    assert found.method == "season"
    assert found.rate == pytest.approx(actual_rate(base_rates, LAST), abs=0.01)


def test_a_constant_purchase_rate_needs_no_correction() -> None:
    base_rates = simulate(wave=0.0)
    found = base_rates.forecast(LAST, [day for day in base_rates.frames if day < LAST])
    assert found.rate == pytest.approx(actual_rate(base_rates, LAST), abs=0.01)
    assert found.errors["constant_rate"] < 0.1


def test_in_the_first_year_the_season_is_chosen_only_if_all_other_methods_failed() -> None:
    for wave, method in ((1.0, "season"), (0.1, "constant_rate")):
        base_rates = simulate(wave, steps=16)
        found = base_rates.forecast(LAST, [day for day in base_rates.frames if day < LAST])
        assert found.tried["season"] == 0 and found.errors["season"] == UNTRIED_ERROR
        assert (found.method == "season") == (method == "season"), (wave, found)


def test_the_forecast_does_not_read_the_future() -> None:
    base_rates = simulate(wave=0.6)
    days = sorted(base_rates.frames)
    immature = [day for day in days if day + timedelta(days=HORIZON) > LAST]
    assert len(immature) == 3
    before = base_rates.forecast(LAST, days)
    for day in immature:
        base_rates.labels[day] = 1 - base_rates.labels[day]  # type: ignore[index]
    fresh = BaseRates(base_rates.frames, base_rates.labels, base_rates.purchase_models, HORIZON, STEP)
    assert fresh.forecast(LAST, days) == before
    assert fresh.of_step(LAST, LAST) is None
    assert fresh.of_label(LAST - timedelta(days=HORIZON), LAST) is not None


def test_a_year_is_a_whole_number_of_grid_steps() -> None:
    assert [year_on_grid(step) for step in (7, 28, 30, 91)] == [364, 364, 360, 364]
