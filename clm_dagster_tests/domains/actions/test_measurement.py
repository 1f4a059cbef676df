"""Results of campaigns, from sums by arm: against direct computation on customers, and what is refused."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clm_dagster.domains.actions.measurement import CONVERSION, MEASURED, REVENUE, campaigns_of, result_rows
from clm_dagster.domains.actions.table_settings import ResultSettings

SETTINGS = ResultSettings(30, ("control", "holdout"), 0.1, 0.05)
NO_SHARES = pd.DataFrame({"campaign_id": [], "arm": [], "share": []})
START = date(2024, 6, 3)


def customers(
    rng: np.random.Generator, size: int, effect: float, basis: str, name: str, arm: str
) -> pd.DataFrame:
    prior = rng.gamma(1.0, 40.0, size)
    buys = rng.random(size) < 0.2 + effect
    return pd.DataFrame(
        {
            "basis": basis,
            "campaign_id": name,
            "arm": arm,
            "contacted_on": [
                pd.Timestamp(START) + timedelta(days=int(day)) for day in rng.integers(0, 5, size)
            ],
            "prior": prior,
            "converted": buys,
            "revenue": np.where(buys, 0.3 * prior + rng.gamma(2.0, 15.0, size), 0.0),
        }
    )


def summed(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the queries return for these customers, all of whose windows are over."""
    keys = ["basis", "campaign_id", "arm"]
    squares = rows.assign(rr=rows.revenue**2, rp=rows.revenue * rows.prior, pp=rows.prior**2)
    arms = squares.groupby(keys).agg(
        first_contact_on=("contacted_on", "min"),
        customers=("prior", "size"),
        conversions=("converted", "sum"),
        revenue=("revenue", "sum"),
        prior=("prior", "sum"),
        revenue_squares=("rr", "sum"),
        revenue_prior=("rp", "sum"),
        prior_squares=("pp", "sum"),
    )
    arms = arms.assign(waiting=3, cost=0.5 * arms.customers, open_rate=0.2, click_rate=None).reset_index()
    days = rows.groupby([*keys, "contacted_on"]).size().rename("customers").reset_index()
    return arms, days


def results(rows: pd.DataFrame, shares: pd.DataFrame = NO_SHARES) -> pd.DataFrame:
    return result_rows(campaigns_of(*summed(rows), shares, SETTINGS), SETTINGS)


def test_effects_equal_those_of_the_customers_themselves() -> None:
    rng = np.random.default_rng(1)
    control = customers(rng, 4_000, 0.0, "touches", "m1", "control")
    news = customers(rng, 4_000, 0.05, "touches", "m1", "news")
    found = results(pd.concat([control, news])).set_index("metric")
    conversion, revenue = found.loc[CONVERSION], found.loc[REVENUE]
    assert (found["status"] == MEASURED).all()
    assert conversion.effect == pytest.approx(news.converted.mean() - control.converted.mean())
    # CUPED is the coefficient of the arm in a regression on arm and prior revenue, up to the pooling of the slope.
    both = pd.concat([control.assign(t=0.0), news.assign(t=1.0)])
    design = np.column_stack([np.ones(len(both)), both.t, both.prior])
    slopes = np.linalg.lstsq(design, both.revenue.to_numpy(), rcond=None)[0]
    assert revenue.effect == pytest.approx(slopes[1], rel=1e-6)
    assert revenue.incremental_total == pytest.approx(slopes[1] * 4_000, rel=1e-6)
    assert revenue.return_on_spend == pytest.approx(slopes[1] * 4_000 / 2_000, rel=1e-6)
    assert conversion.effect_low < conversion.effect < conversion.effect_high
    assert conversion.anytime_low < conversion.effect_low and conversion.anytime_high > conversion.effect_high
    plain = stats.ttest_ind(news.revenue, control.revenue, equal_var=False).confidence_interval()
    assert revenue.effect_high - revenue.effect_low < plain.high - plain.low
    assert conversion.is_discovery and revenue.variance_left < 1


def test_arms_that_contradict_their_shares_have_no_result() -> None:
    rng = np.random.default_rng(2)
    rows = pd.concat(
        [customers(rng, size, 0.0, "touches", "m1", arm) for arm, size in (("control", 300), ("news", 2_700))]
    )
    uneven = results(rows)
    assert uneven["effect"].isna().all() and uneven["status"].str.contains("contradict the plan").all()
    shares = pd.DataFrame({"campaign_id": ["*", "*"], "arm": ["control", "news"], "share": [0.1, 0.9]})
    assert (results(rows, shares)["status"] == MEASURED).all()


def test_shares_that_do_not_fit_the_arms_are_refused() -> None:
    rng = np.random.default_rng(2)
    rows = pd.concat([customers(rng, 50, 0.0, "touches", "m1", arm) for arm in ("control", "news")])
    for arms, share in ((["control", "mail"], [0.5, 0.5]), (["control", "news"], [0.5, 0.4])):
        shares = pd.DataFrame({"campaign_id": "m1", "arm": arms, "share": share})
        with pytest.raises(
            ValueError, match=r"campaign_arms\.csv: the campaign m1 has the arms control, news"
        ):
            results(rows, shares)


def test_a_campaign_without_a_control_arm_has_no_effect_and_plans_have_their_own_controls() -> None:
    rng = np.random.default_rng(3)
    rows = pd.concat(
        [
            customers(rng, 200, 0.0, "touches", "m1", "news"),
            customers(rng, 200, 0.0, "touches", "m1", "discount"),
            customers(rng, 100, 0.0, "plan", "p1", "holdout"),
            customers(rng, 900, 0.0, "plan", "p1", "treated"),
            customers(rng, 50, 0.0, "plan", "all_actions", "global_holdout"),
            customers(rng, 950, 0.0, "plan", "all_actions", "treated"),
        ]
    )
    found = results(rows)
    assert set(found["campaign_id"]) == {"p1", "all_actions"} and set(found["arm"]) == {"treated"}
    assert found.set_index(["campaign_id", "metric"])["control_customers"].to_dict() == {
        ("p1", CONVERSION): 100,
        ("p1", REVENUE): 100,
        ("all_actions", CONVERSION): 50,
        ("all_actions", REVENUE): 50,
    }


def test_a_second_control_arm_is_no_contact() -> None:
    rng = np.random.default_rng(6)
    three = [customers(rng, 300, 0.0, "touches", "m1", arm) for arm in ("control", "holdout", "news")]
    assert set(results(pd.concat(three))["arm"]) == {"news"}
    assert campaigns_of(*summed(pd.concat(three[:2])), NO_SHARES, SETTINGS) == []


def test_few_customers_are_not_enough_data() -> None:
    rng = np.random.default_rng(4)
    rows = pd.concat([customers(rng, 6, 0.0, "touches", "m1", arm) for arm in ("control", "news")])
    found = results(rows)
    assert found["status"].str.startswith("Not enough data yet: 6 customers in control, 10 needed").all()
    assert not found["is_discovery"].any() and found["p_value"].isna().all()
    assert result_rows([], SETTINGS).empty


def test_false_discoveries_are_rare_over_many_campaigns() -> None:
    rng = np.random.default_rng(5)
    rows = pd.concat(
        [
            customers(rng, 400, 0.0, "touches", f"m{number}", arm)
            for number in range(60)
            for arm in ("control", "news")
        ]
    )
    assert results(rows)["is_discovery"].sum() == 0
