"""From sparse rows to matrices: zeros, weeks, closed weekdays, shut days."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.demand.series import daily_panel, expected_shut, impute_closures, weekly_panel
from clm_dagster_tests.domains.demand.shop import AS_OF, CHRISTMAS, days_of, expected, panel_of, sales

FRAME = sales({("product", "a", "units"): 20.0, ("shop", "all", "units"): 90.0})


def test_the_daily_panel_matches_a_pivot() -> None:
    panel = daily_panel(FRAME, AS_OF)
    pivot = FRAME.pivot_table(index="key", columns="day", values="value", fill_value=0.0)
    pivot = pivot.reindex(columns=days_of(), fill_value=0.0)
    np.testing.assert_array_equal(panel.keys["key"], pivot.index)
    np.testing.assert_array_equal(panel.values, pivot.to_numpy())
    assert panel.dates[-1] == pd.Timestamp(AS_OF) - pd.Timedelta(days=1)


def test_row_order_and_later_rows_do_not_matter() -> None:
    shuffled = FRAME.sample(frac=1, random_state=3)
    later = FRAME.tail(1).assign(day=pd.Timestamp(AS_OF), value=1e9)
    panel, other = daily_panel(FRAME, AS_OF), daily_panel(pd.concat([later, shuffled]), AS_OF)
    np.testing.assert_array_equal(panel.values, other.values)
    assert panel.keys.equals(other.keys)


def test_a_series_begins_with_its_first_sale() -> None:
    values = np.zeros((2, 10))
    values[0, 4] = 2.0
    panel = panel_of(values)
    assert np.isnan(panel.values[0, :4]).all()
    assert (panel.values[0, 5:] == 0).all()
    assert (panel.values[1] == 0).all()  # never sold: known to be zero
    assert panel.begins.tolist() == [4, 0]


def test_weeks_end_at_as_of() -> None:
    days = daily_panel(FRAME, AS_OF).until(30)
    weeks = weekly_panel(days)
    np.testing.assert_allclose(weeks.values, days.values[:, 2:].reshape(2, 4, 7).sum(axis=2))
    assert (weeks.dates[0], weeks.size, weeks.step) == (days.dates[2], 4, 7)
    assert weeks.day_of(3) == 2 + 21
    assert weeks.ahead(weeks.size, 2)[0] == days.dates[-1] + pd.Timedelta(days=1)


def test_weekdays_with_under_three_per_cent_are_closed() -> None:
    days = days_of()
    flat = np.where(days.day_of_week == 5, 0.02, 1.0)
    above = np.where(days.day_of_week == 5, 0.04, 1.0)
    reopened = np.where((days.day_of_week == 5) & (days < pd.Timestamp("2024-06-01")), 0.0, 1.0)
    is_open = panel_of(np.stack([flat, above, reopened])).open_weekdays(days.size)
    assert is_open.sum(axis=1).tolist() == [6, 7, 7]
    before = panel_of(np.stack([reopened])).open_weekdays(int((days < pd.Timestamp("2024-06-01")).sum()))
    assert before.tolist() == [[True] * 5 + [False, True]]


def test_shut_days_are_found_predicted_and_imputed() -> None:
    days = days_of()
    panel = panel_of(expected(10.0, days)[None])
    assert [str(day.date()) for day in days[panel.shut]] == [*CHRISTMAS]
    origin = int((days < pd.Timestamp("2024-06-30")).sum())
    # A year later Christmas is expected at its dates; the single New Year's Day 52 weeks later.
    ahead = expected_shut(panel, origin, 200)
    assert [str(day.date()) for day in panel.ahead(origin, 200)[ahead]] == [
        "2024-12-25",
        "2024-12-26",
        "2024-12-30",
    ]
    whole = impute_closures(panel)[0]
    np.testing.assert_allclose(whole[panel.shut], 10 * np.array([1.0, 1.2, 1.0]))
    np.testing.assert_array_equal(whole[~panel.shut], panel.values[0][~panel.shut])


def test_imputation_does_not_look_ahead() -> None:
    days = days_of()
    values = expected(10.0, days)[None]
    changed = values.copy()
    origin = int((days < pd.Timestamp(CHRISTMAS[1])).sum())
    changed[:, origin:] *= 7
    np.testing.assert_array_equal(
        impute_closures(panel_of(values))[:, :origin], impute_closures(panel_of(changed))[:, :origin]
    )


def test_invalid_frames_are_errors() -> None:
    with pytest.raises(ValueError, match="measure"):
        daily_panel(FRAME.drop(columns="measure"), AS_OF)
    with pytest.raises(ValueError, match="no demand before 2000-01-01"):
        daily_panel(FRAME, date(2000, 1, 1))
    with pytest.raises(ValueError, match="two values"):
        daily_panel(pd.concat([FRAME, FRAME.head(1)]), AS_OF)
    with pytest.raises(ValueError, match="without a value"):
        daily_panel(FRAME.assign(value=np.where(FRAME.index == 5, np.nan, FRAME.value)), AS_OF)
