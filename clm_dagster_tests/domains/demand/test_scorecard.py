"""The scorecard of demand forecasts, against the panels and measures of the Python evaluation."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.demand.backtest import measures, naive_scales
from clm_dagster.domains.demand.panel_methods import EightWeekMean
from clm_dagster.domains.demand.series import KEYS, Panel, daily_panel, weekly_panel
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection
from clm_dagster_tests.scorecards import AS_OF, LATER, TRAINED, graded

CARD = "demand_scorecard"
FIRST, END = date(2023, 9, 6), date(2024, 6, 10)
DAYS_MATURE = datetime(2024, 4, 29)
TESTED = [f"{period}_{name}" for period in ("day", "week") for name in ("mase", "coverage_80", "coverage_95")]
# key -> class, first and last day of its sales
PRODUCTS = {
    "steady": ("regular", FIRST, END),
    "sparse": ("intermittent", FIRST, END),
    "new": ("regular", date(2024, 2, 14), END),
    "young": ("young", date(2024, 2, 28), END),
    "dormant": ("dormant", date(2023, 9, 10), date(2023, 9, 20)),
    "later": ("young", date(2024, 3, 10), END),
    "hidden": ("", FIRST, END),  # it has no series of its own, and is in `other`
}


def series() -> pd.DataFrame:
    """core.demand_series: sales of the products and of the shop, without the days that sold nothing."""
    rng = np.random.default_rng(6)
    days = pd.date_range(FIRST, END, inclusive="left")
    weekday = np.array([1.0, 1.2, 1.1, 1.0, 1.5, 0.0, 0.4])[days.day_of_week]
    parts = []
    for key, (_, first, last) in PRODUCTS.items():
        mean = (0.3 if key == "sparse" else 6.0) * weekday
        sold = rng.poisson(mean) * ((days.date >= first) & (days.date < last))
        parts.append(pd.DataFrame({"level": "product", "key": key, "day": days, "value": sold}))
    products = pd.concat(parts)
    shop = products.groupby("day", as_index=False)["value"].sum().assign(level="shop", key="all")
    found = pd.concat([products, shop]).query("value != 0").assign(measure="units")
    return pd.DataFrame(found.assign(day=found["day"].dt.date, value=found["value"].astype(float)))


def completed(sold: pd.DataFrame) -> pd.DataFrame:
    """The series that are forecast: `other` instead of what has no series of its own."""
    other = sold[sold["key"] == "hidden"].assign(key="other")
    return pd.concat([sold[sold["key"] != "hidden"], other], ignore_index=True)


def forecasts(as_of: datetime) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    classes = {("product", key): found[0] for key, found in PRODUCTS.items() if found[0]}
    classes |= {("product", "other"): "regular", ("shop", "all"): "regular"}
    parts = []
    for period, step, count in (("day", 1, 28), ("week", 7, 13)):
        dates = [as_of.date() + timedelta(days=step * number) for number in range(count)]
        for (level, key), outcome in classes.items():
            mean = np.round(rng.gamma(3, 2 * step, count) * (outcome != "dormant"), 2)
            parts.append(
                pd.DataFrame({"date": dates, "mean": mean}).assign(
                    period=period, level=level, key=key, measure="units", outcome=outcome
                )
            )
    found = pd.concat(parts, ignore_index=True)
    spread = {"q025": 0.2, "q10": 0.5, "q90": 1.5, "q975": 2.0}
    names: dict[str, Any] = {
        "model_name": "models.demand_model",
        "model_version": "3",
        "model_as_of": TRAINED,
    }
    return found.assign(as_of=as_of, **{name: found["mean"] * by for name, by in spread.items()}, **names)


def shop() -> dict[str, pd.DataFrame]:
    model = {"as_of": TRAINED, "model_name": "models.demand_model", "model_version": "3"}
    made = pd.concat([forecasts(as_of) for as_of in (AS_OF, DAYS_MATURE, LATER)], ignore_index=True)
    return {
        "marts.demand_forecasts": made,
        "demand_series": series(),
        "models.demand_model": pd.DataFrame([model | dict.fromkeys(TESTED, 0.75)]),
    }


def panels(as_of: date) -> dict[str, Panel]:
    days = daily_panel(completed(series()), as_of)
    return {"day": days, "week": weekly_panel(days)}


def actual_values(row: pd.Series, days: int) -> float:
    sold = completed(series())
    mine = sold[(sold["level"] == row["level"]) & (sold["key"] == row["key"])]
    return float(
        mine[(mine["day"] >= row["date"]) & (mine["day"] < row["date"] + timedelta(days=days))]["value"].sum()
    )


def expected(as_of: datetime, period: str, steps: int) -> dict[str, float]:
    """Value and baseline from the panel of the evaluation, one series after the other."""
    panel = panels(as_of.date())[period]
    scale, _ = naive_scales(panel, panel.size)
    naive = EightWeekMean().paths(panel, np.array([panel.size]), steps)[:, 0]
    rows = forecasts(as_of).query("period == @period")
    rows = rows[rows["date"] < as_of.date() + timedelta(days=steps * panel.step)]
    own: list[float] = []
    baseline: list[float] = []
    inside: dict[str, list[float]] = {"80": [], "95": []}
    for (level, key, _), mine in rows.groupby(KEYS):
        actual = np.array([actual_values(row, panel.step) for _, row in mine.iterrows()])
        inside["80"].append(((mine["q10"] <= actual) & (actual <= mine["q90"])).mean())
        inside["95"].append(((mine["q025"] <= actual) & (actual <= mine["q975"])).mean())
        at = panel.keys.index[(panel.keys["level"] == level) & (panel.keys["key"] == key)]
        if not len(at) or mine["outcome"].iloc[0] not in ("regular", "intermittent"):
            continue
        for found, path in ((own, mine["mean"].to_numpy()), (baseline, naive[at[0]])):
            one = measures(path[None, None], actual[None, None], scale[at], scale[at])
            found.append(one["mase"][0])
    return {
        "mase": float(np.nanmean(own)),
        "baseline": float(np.nanmean(baseline)),
        "coverage_80": float(np.mean(inside["80"])),
        "coverage_95": float(np.mean(inside["95"])),
    }


def test_value_and_baseline_are_those_of_the_evaluation(connection: Connection, project: Project) -> None:
    card = graded(connection, project, CARD, shop())
    for period, steps, days in (("day", 28, 28), ("week", 8, 56)):
        found = expected(AS_OF, period, steps)
        baseline = found.pop("baseline")
        assert {n: card["value"][f"{period}_{n}"] for n in found} == pytest.approx(found), period
        assert card["baseline"][f"{period}_mase"] == pytest.approx(baseline)
        assert card["horizon_days"][f"{period}_mase"] == days
    assert card["baseline"].drop(["day_mase", "week_mase"]).isna().all()
    assert set(card["promised"]) == {0.75} and set(card["customers"]) == set(card["labelled"]) == {8}
    assert set(card["weeks_since_training"]) == {9}


def test_days_are_graded_before_weeks(connection: Connection, project: Project) -> None:
    card = graded(connection, project, CARD, shop(), DAYS_MATURE)
    found = expected(DAYS_MATURE, "day", 28)
    assert card["value"]["day_mase"] == pytest.approx(found["mase"])
    assert card["baseline"]["day_mase"] == pytest.approx(found["baseline"])
    assert card["value"][["week_mase", "week_coverage_80", "week_coverage_95"]].isna().all()
    assert card["labelled"]["day_mase"] == 8 and card["labelled"]["week_mase"] == 0


def test_a_forecast_whose_days_are_not_loaded_has_no_value(connection: Connection, project: Project) -> None:
    card = graded(connection, project, CARD, shop(), LATER)
    assert len(card) == 6 and card[["value", "baseline"]].isna().all(axis=None)
    assert set(card["labelled"]) == {0}


def test_a_shop_that_sold_nothing_since_has_errors_but_no_scale_where_it_never_sold(
    connection: Connection, project: Project
) -> None:
    given = shop()
    never = {"marts.demand_forecasts": given["marts.demand_forecasts"].query("key == 'later'")}
    never["marts.demand_forecasts"] = never["marts.demand_forecasts"].assign(outcome="regular")
    card = graded(connection, project, CARD, given | never)
    assert np.isnan(card["value"]["day_mase"]) and card["value"]["day_coverage_80"] >= 0
