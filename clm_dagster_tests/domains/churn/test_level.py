"""The forecast of the level against a shop whose level is known."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from clm_dagster.domains.churn import rhythm
from clm_dagster.domains.churn.level import UNTRIED_ERROR, Levels
from clm_dagster.statistics.btyd import BGNBD, Unit
from clm_dagster.statistics.evaluation import year_on_grid

HORIZON, STEP = 84, 28
LAST = date(2024, 12, 30)
MODEL = BGNBD(Unit.DAY, r=0.9, alpha=80.0, a=0.2, b=9.0)


def world(wave: float, trend: float = 0.0, steps: int = 32) -> Levels:
    """Snapshots of one grid whose labels and steps lie off BG/NBD by a wave over the year and a trend."""
    rng = np.random.default_rng(0)
    n = 4000
    ids = [f"c{i}" for i in range(n)]
    days = [LAST - timedelta(days=STEP * k) for k in range(steps)][::-1]
    frames: dict[date, pd.DataFrame] = {}
    labels: dict[date, np.ndarray] = {}
    came = np.zeros(n, dtype=bool)
    for place, day in enumerate(days):
        tenure = rng.integers(100, 700, n)
        recency = np.where(came, rng.integers(1, STEP + 1, n), rng.integers(STEP + 1, 100, n))
        count = np.where(recency == tenure, 1, rng.integers(2, 9, n))
        frame = pd.DataFrame(
            {"customer_id": ids, "order_days": count, "tenure_days": tenure, "recency_days": recency}
        )
        off = wave * np.sin(2 * np.pi * place / 13) + trend * place
        for days_ahead in (HORIZON, STEP):
            expected = logit(rhythm.no_purchase(MODEL, frame, days_ahead).mean())
            none = np.zeros(n)
            none[: round(n * expit(expected + off))] = 1
            if days_ahead == HORIZON:
                labels[day] = none
            else:
                came = none == 0
        frames[day] = frame
    return Levels(frames, labels, dict.fromkeys(days, MODEL), HORIZON, STEP)


def truth(levels: Levels, day: date) -> float:
    return float(levels.labels[day].mean())


def test_a_season_is_found_and_met() -> None:
    levels = world(wave=0.6)
    found = levels.forecast(LAST, [day for day in levels.frames if day < LAST])
    assert found.method == "season" and found.tried["season"] >= 5
    assert found.rate == pytest.approx(truth(levels, LAST), abs=0.01)
    assert abs(found.rates["rhythm"] - truth(levels, LAST)) > 0.03
    assert found.errors["season"] < UNTRIED_ERROR < found.errors["rhythm"]


def test_a_season_on_a_moving_level_is_met_as_well() -> None:
    levels = world(wave=0.6, trend=0.03)
    found = levels.forecast(LAST, [day for day in levels.frames if day < LAST])
    assert found.method == "season"
    assert found.rate == pytest.approx(truth(levels, LAST), abs=0.01)


def test_where_the_pace_holds_nothing_is_corrected() -> None:
    levels = world(wave=0.0)
    found = levels.forecast(LAST, [day for day in levels.frames if day < LAST])
    assert found.rate == pytest.approx(truth(levels, LAST), abs=0.01)
    assert found.errors["rhythm"] < 0.1


def test_in_the_first_year_a_season_is_believed_only_if_all_else_failed() -> None:
    for wave, method in ((1.0, "season"), (0.1, "rhythm")):
        levels = world(wave, steps=16)
        found = levels.forecast(LAST, [day for day in levels.frames if day < LAST])
        assert found.tried["season"] == 0 and found.errors["season"] == UNTRIED_ERROR
        assert (found.method == "season") == (method == "season"), (wave, found)


def test_what_is_not_known_yet_is_not_read() -> None:
    levels = world(wave=0.6)
    days = sorted(levels.frames)
    immature = [day for day in days if day + timedelta(days=HORIZON) > LAST]
    assert len(immature) == 3
    before = levels.forecast(LAST, days)
    for day in immature:
        levels.labels[day] = 1 - levels.labels[day]  # type: ignore[index]
    fresh = Levels(levels.frames, levels.labels, levels.parameters, HORIZON, STEP)
    assert fresh.forecast(LAST, days) == before
    assert fresh.of_step(LAST, LAST) is None
    assert fresh.of_label(LAST - timedelta(days=HORIZON), LAST) is not None


def test_a_year_lies_on_the_grid() -> None:
    assert [year_on_grid(step) for step in (7, 28, 30, 91)] == [364, 364, 360, 364]
