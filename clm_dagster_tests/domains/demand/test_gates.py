"""The champion rule of demand, on tables written by hand."""

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.demand.gates import demand_verdict, gain_over


def held_out(gaps: list[float]) -> pd.DataFrame:
    """Return series whose chosen forecasts differ by this much from the eight-week mean."""
    base = np.linspace(0.8, 1.2, len(gaps))
    parts = [
        pd.DataFrame(
            {
                "level": "product",
                "key": [f"p{i}" for i in range(len(gaps))],
                "measure": "units",
                "method": name,
                "mase": values,
            }
        )
        for name, values in (("chosen", base + gaps), ("eight_week_mean", base))
    ]
    return pd.concat(parts)


def test_a_clear_gain_is_accepted() -> None:
    gain = gain_over(held_out([-0.1, -0.12, -0.08, -0.11, -0.05, -0.2]), "eight_week_mean")
    assert gain is not None and gain.value == pytest.approx(-0.11)
    assert gain.low < gain.value < gain.high < 0
    assert demand_verdict(gain, 6, 60).accepted
    past = demand_verdict(gain, 6, 60, is_newest=False)
    assert not past.accepted and "not the newest partition" in str(past)


def test_a_gain_that_may_be_chance_is_rejected() -> None:
    gain = gain_over(held_out([-0.3, 0.2, -0.2, 0.25, 0.02]), "eight_week_mean")
    verdict = demand_verdict(gain, 5, 60)
    assert not verdict.accepted and "champion does not change" in str(verdict)


def test_without_a_backtest_there_is_no_champion() -> None:
    assert gain_over(held_out([]), "eight_week_mean") is None
    assert gain_over(held_out([0.1]), "seasonal_naive") is None
    verdict = demand_verdict(None, 0, 12)
    assert not verdict.accepted and "of 12 weeks is too short" in str(verdict)
