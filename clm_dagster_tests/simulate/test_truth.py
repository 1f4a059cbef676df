"""The ground truth: distributions estimated from it, and behaviour that follows them."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clm_dagster.simulate.parameters import (
    ARMS,
    CATEGORIES,
    CHANNEL_CONVERSION,
    CHANNELS,
    COUNTRIES,
    COUNTRY_SHARES,
    calendar,
)
from clm_dagster.statistics.btyd import BGNBD, GammaGamma, Histories, days
from clm_dagster_tests.simulate.shop import Shop

WEEKDAYS = [1.05, 1.0, 0.97, 1.0, 1.08, 0.86, 1.04]


def orders_of(shop: Shop) -> pd.DataFrame:
    return shop.query("""
        select order_id, any_value(customer_id) as customer_id, min(event_at) as at, min(day) as day,
            sum(quantity * unit_price) as worth, count(*) as lines
        from events where event_type = 'purchase' group by order_id
    """)


# ------------------------------------------------------------------------- distributions


def test_rates_dropouts_and_spend_follow_the_planted_distributions(stationary: Shop) -> None:
    planted, truth = stationary.parameters, stationary.truth("customers")
    shape, _, scale = stats.gamma.fit(truth["purchase_rate"], floc=0)
    assert shape == pytest.approx(planted.rate_shape, rel=0.05)
    assert 1 / scale == pytest.approx(planted.rate_days, rel=0.08)
    a, b, _, _ = stats.beta.fit(truth["dropout_probability"], floc=0, fscale=1)
    assert (a, b) == (pytest.approx(planted.dropout_a, rel=0.05), pytest.approx(planted.dropout_b, rel=0.06))
    # spend_level = p / nu with nu ~ Gamma(q, gamma)
    q, _, scale = stats.gamma.fit(planted.spend_p / truth["spend_level"], floc=0)
    assert (q, 1 / scale) == (
        pytest.approx(planted.spend_q, rel=0.05),
        pytest.approx(planted.spend_gamma, rel=0.06),
    )


def test_customers_order_at_their_rates_and_leave_with_their_probabilities(stationary: Shop) -> None:
    truth = stationary.truth("customers").dropna(subset=["first_order_at"])
    end = stationary.parameters.days
    exposure = truth["dropped_out_at"].fillna(end) - truth["first_order_at"]
    repeats = (truth["orders"] - 1).sum()
    # Given the lifetimes, repeat orders are Poisson with the sum of rate x lifetime as mean. A lifetime ends with an
    # order, so that sum is a compensator: the difference has the variance of a count.
    assert abs(repeats - (truth["purchase_rate"] * exposure).sum()) < 4 * np.sqrt(repeats)
    leaving = truth["dropped_out_at"].notna().sum()
    chance = (truth["dropout_probability"] * (truth["orders"] - 1)).sum()
    assert abs(leaving - chance) < 4 * np.sqrt(chance)
    assert truth.loc[truth["orders"] == 1, "dropped_out_at"].isna().all()


def test_order_values_are_gamma_around_the_customers_level(stationary: Shop) -> None:
    planted = stationary.parameters
    orders = orders_of(stationary).merge(stationary.truth("customers"), on="customer_id")
    # z nu = z p / level ~ Gamma(p, 1)
    scaled = orders["worth"] * planted.spend_p / orders["spend_level"]
    assert stats.kstest(scaled, stats.gamma(planted.spend_p).cdf).pvalue > 1e-3


def test_customers_order_on_arrival_with_the_planted_share_of_their_channel(stationary: Shop) -> None:
    truth = stationary.truth("customers")
    truth["at_once"] = truth["first_order_at"] == truth["arrived_at"]
    for channel, planted in zip(CHANNELS, CHANNEL_CONVERSION, strict=True):
        found = truth.loc[truth["channel"] == channel, "at_once"]
        assert found.mean() == pytest.approx(planted, abs=4 * found.std() / np.sqrt(len(found)))
    assert truth["first_order_at"].isna().mean() > 0.05  # sign-ups without an order


# -------------------------------------------------------------------------- orders and demand


def test_exactly_the_orders_of_the_truth_are_delivered(believable: Shop) -> None:
    delivered = (
        orders_of(believable).groupby("customer_id").agg(orders=("order_id", "nunique"), first=("at", "min"))
    )
    truth = believable.truth("customers").set_index("customer_id").query("orders > 0")
    assert (delivered["orders"] == truth["orders"]).all()
    start = pd.Timestamp(believable.parameters.start)
    first = start + pd.to_timedelta(np.floor(truth["first_order_at"]), unit="D")
    assert (delivered["first"].dt.normalize() == first).all()


def test_demand_matches_the_expectation_by_product_and_day(believable: Shop) -> None:
    sold = believable.query(
        "select day, product_id, sum(quantity) as units from events where event_type = 'purchase' group by all"
    )
    demand = believable.truth("demand/*").merge(sold, on=["day", "product_id"], how="outer").fillna(0.0)
    assert (demand["expected_units"] > 0).all()  # products without expected demand are not sold
    for by in ("day", "product_id"):
        sums = demand.groupby(by)[["expected_units", "units"]].sum()
        # A line's quantity q has E[q^2] of about 3 E[q], and an order has several lines: the variance exceeds the mean.
        z = (sums["units"] - sums["expected_units"]) / np.sqrt(4 * sums["expected_units"])
        assert abs(z.mean()) < 0.35 and 0.4 < z.std() < 1.4, (by, z.describe())
    total = demand[["expected_units", "units"]].sum()
    assert total["units"] == pytest.approx(total["expected_units"], rel=0.02)


def test_orders_have_weekly_and_yearly_seasons(believable: Shop) -> None:
    days = believable.truth("days")
    level = calendar(believable.parameters).level
    assert np.allclose(days["level"], level)
    weekday = (days["day"] + believable.parameters.start.weekday()) % 7
    # Relative to the mean of the week around it, which removes growth and season.
    around = days["orders"].rolling(7, center=True).mean()
    inside = slice(14, len(days) - 14)
    found = (days["orders"] / around)[inside].groupby(weekday[inside]).mean()
    assert np.allclose(found / found.mean(), np.array(WEEKDAYS) / np.mean(WEEKDAYS), atol=0.06)
    december, october = days["orders"][335:356].mean(), days["orders"][275:300].mean()
    assert 1.35 < december / october < 2.2


def test_the_stationary_world_is_flat(stationary: Shop) -> None:
    assert (stationary.truth("days")["level"] == 1).all()
    assert not (stationary.truth("customers")[["effect_discount", "effect_news"]] != 0).any(axis=None)
    kinds = set(stationary.query("select distinct event_type from events")["event_type"])
    assert "return" not in kinds and "promotions" not in stationary.rows
    arrivals = np.histogram(stationary.truth("customers")["arrived_at"], bins=10)[0]
    assert arrivals.std() / arrivals.mean() < 0.01


# ------------------------------------------------------------------------- behaviour of the shop


def test_sessions_have_a_realistic_conversion(believable: Shop) -> None:
    counts = believable.query("select event_type, count(*) as n from events group by 1").set_index(
        "event_type"
    )["n"]
    orders = len(orders_of(believable))
    assert 0.06 < orders / counts["visit"] < 0.14
    assert counts["visit"] > counts["add_to_cart"] > counts["purchase"]
    whole = believable.query("""
        select count(*) as sessions,
            count(*) filter (
                where visit = 1 and view_at >= visit_at and cart_at >= view_at and bought_at >= cart_at
            ) as sound
        from (
            select session_id, count(*) filter (where event_type = 'visit') as visit,
                min(event_at) filter (where event_type = 'visit') as visit_at,
                min(event_at) filter (where event_type = 'view') as view_at,
                max(event_at) filter (where event_type = 'add_to_cart' ) as cart_at,
                min(event_at) filter (where event_type = 'purchase') as bought_at,
                bool_or(event_type = 'purchase') as bought
            from events where session_id is not null group by session_id
        ) where bought
    """)
    # An abandoned cart can be filled in the same second as the order or, in its session, just after it.
    assert whole["sound"].item() >= 0.9 * whole["sessions"].item()
    assert whole["sessions"].item() == orders


def test_baskets_have_the_planted_lines_and_pairs(believable: Shop) -> None:
    orders = orders_of(believable)
    mean = 1 + believable.parameters.extra_lines
    assert orders["lines"].mean() == pytest.approx(mean, abs=4 * orders["lines"].std() / np.sqrt(len(orders)))
    pairs = believable.query(f"""
        with lines as (select distinct order_id, product_id from events where event_type = 'purchase')
        select a.product_id as a, b.product_id as b, goes_with, count(*) as n
        from lines as a join lines as b using (order_id)
        join read_parquet('{believable.out}/truth/products.parquet') as p on p.product_id = a.product_id
        where a.product_id <> b.product_id group by all
    """)
    planted = pairs["b"] == pairs["goes_with"]
    products = pairs["a"].nunique()
    # By chance one in `products` pairs would be a planted one.
    assert pairs.loc[planted, "n"].sum() / pairs["n"].sum() > 10 / products


def test_customers_buy_the_categories_of_their_group(believable: Shop) -> None:
    truth = believable.truth("customers")
    tastes = truth[[f"taste_{name}" for name in CATEGORIES]].to_numpy()
    assert np.allclose(tastes.sum(axis=1), 1, atol=1e-4)
    bought = believable.query(f"""
        select customer_id, category, sum(quantity) as units from events
        join read_parquet('{believable.out}/truth/products.parquet') using (product_id)
        where event_type = 'purchase' and customer_id is not null group by all
    """).pivot_table(index="customer_id", columns="category", values="units", fill_value=0)
    shares = bought.div(bought.sum(axis=1), axis=0).reindex(columns=list(CATEGORIES)).fillna(0)
    many = shares[bought.sum(axis=1) > 20]
    expected = truth.set_index("customer_id").loc[many.index, [f"taste_{name}" for name in CATEGORIES]]
    assert np.corrcoef(many.to_numpy().ravel(), expected.to_numpy().ravel())[0, 1] > 0.5


def test_mails_are_random_and_have_the_planted_effects(believable: Shop) -> None:
    """Orders in the ten days after a mail, against the control group, by planted effect."""
    touches = believable.table("touches")
    shares = touches["arm"].value_counts(normalize=True)
    assert np.allclose(shares[list(ARMS)], 1 / 3, atol=0.02)
    orders = orders_of(believable)[["customer_id", "day"]]
    touches["day"] = touches["campaign_id"].str.removeprefix("mail-").astype(int)
    orders["campaign"] = orders["day"] - (orders["day"] - 21) % 21 - 1  # the last campaign before the day
    soon = orders[(orders["day"] > orders["campaign"]) & (orders["day"] <= orders["campaign"] + 10)]
    answered = soon.groupby(["customer_id", "campaign"]).size().rename("orders")
    touches = touches.join(answered, on=["customer_id", "day"]).fillna({"orders": 0.0})
    touches = touches.merge(believable.truth("customers"), on="customer_id", suffixes=("", "_truth"))
    for arm in ARMS[1:]:
        for effect in (-0.4, 0.0, 0.5):
            similar = touches[np.isclose(touches[f"effect_{arm}"], effect)]
            mailed = similar.loc[similar["arm"] == arm, "orders"]
            control = similar.loc[similar["arm"] == "control", "orders"]
            ratio = mailed.mean() / control.mean()
            noise = np.sqrt(1 / mailed.sum() + 1 / control.sum())
            assert abs(np.log(ratio) - effect) < 4 * noise, (arm, effect, ratio, noise)


def test_ratings_follow_quality_and_texts_follow_ratings(believable: Shop) -> None:
    reviews = believable.table("reviews")
    reviews = reviews.merge(believable.truth("products"), on="product_id")
    reviews["rating"] = reviews["rating"].astype(float)
    assert set(reviews["rating"]) <= {1, 2, 3, 4, 5}
    assert np.corrcoef(reviews["rating"], reviews["quality"])[0, 1] > 0.5
    people = believable.table("customers").drop_duplicates("customer_id").set_index("customer_id")
    chinese = reviews["text"].str.contains("[\u4e00-\u9fff]")
    assert (chinese == (people.loc[reviews["customer_id"], "country"].to_numpy() == "CN")).all()
    assert chinese.mean() == pytest.approx(COUNTRY_SHARES[COUNTRIES.index("CN")], abs=0.05)


def test_in_the_stationary_world_bg_nbd_and_gamma_gamma_find_the_planted_parameters(stationary: Shop) -> None:
    planted = stationary.parameters
    orders = orders_of(stationary).dropna(subset=["customer_id"])
    # Instants, not days: two orders of a day are two.
    at = (orders["at"] - pd.Timestamp(planted.start)) / pd.Timedelta(days=1)
    lives = at.groupby(orders["customer_id"]).agg(["count", "min", "max"])
    histories = Histories(
        (lives["count"] - 1).to_numpy(float),
        last=days((lives["max"] - lives["min"]).to_numpy()),
        observed=days((planted.days - lives["min"]).to_numpy()),
    )
    fit = BGNBD.fit(histories)
    truth = {
        "r": planted.rate_shape,
        "alpha": planted.rate_days,
        "a": planted.dropout_a,
        "b": planted.dropout_b,
    }
    for name, (low, high) in fit.intervals(0.999).items():
        assert low < truth[name] < high, (name, low, high)
    spend = orders.merge(lives.query("count > 1"), left_on="customer_id", right_index=True)
    means = spend.groupby("customer_id")["worth"].agg(["mean", "count"])
    worth = GammaGamma.fit(means["count"].to_numpy(float), means["mean"].to_numpy())
    for name, (low, high) in worth.intervals(0.999).items():
        assert low < {"p": planted.spend_p, "q": planted.spend_q, "gamma": planted.spend_gamma}[name] < high
