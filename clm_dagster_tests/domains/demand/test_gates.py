"""The champion rule of demand, on tables written by hand."""

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.demand.gates import PeriodGain, demand_verdict, gain_over


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
    both = {"day": PeriodGain(gain, 6), "week": PeriodGain(gain, 6)}
    accepted = demand_verdict(both, 60)
    assert accepted.accepted and accepted.parts == {"day": True, "week": True}
    past = demand_verdict(both, 60, is_newest=False)
    assert not past.accepted and "not the newest partition" in str(past)


def test_a_gain_that_may_be_chance_is_rejected() -> None:
    gain = gain_over(held_out([-0.3, 0.2, -0.2, 0.25, 0.02]), "eight_week_mean")
    verdict = demand_verdict({"day": PeriodGain(gain, 5), "week": PeriodGain(gain, 5)}, 60)
    assert not verdict.accepted and "champion does not change" in str(verdict)


def test_without_a_backtest_there_is_no_champion() -> None:
    assert gain_over(held_out([]), "eight_week_mean") is None
    assert gain_over(held_out([0.1]), "seasonal_naive") is None
    verdict = demand_verdict({"day": PeriodGain(None, 0), "week": PeriodGain(None, 0)}, 12)
    assert not verdict.accepted and "of 12 weeks is too short" in str(verdict)


def test_days_and_weeks_pass_each_for_themselves() -> None:
    clear = gain_over(held_out([-0.1, -0.12, -0.08, -0.11, -0.05, -0.2]), "eight_week_mean")
    unclear = gain_over(held_out([-0.3, 0.2, -0.2, 0.25, 0.02]), "eight_week_mean")
    verdict = demand_verdict({"day": PeriodGain(unclear, 5), "week": PeriodGain(clear, 6)}, 60)
    assert verdict.accepted and verdict.parts == {"day": False, "week": True}
    assert "become" in str(verdict) and "for week" in str(verdict)
    assert "The naive baseline stays for day." in str(verdict)
