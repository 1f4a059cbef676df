"""Planned touches: what they change, what they leave alone, and which are refused."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats

from clm_dagster.cli import cli
from clm_dagster.errors import UserError
from clm_dagster.simulate.own_numbers import OwnNumbers
from clm_dagster.simulate.parameters import Parameters
from clm_dagster.simulate.shop import SimulationError, simulate
from clm_dagster.simulate.touches import Touches, TouchesError, read_touches
from clm_dagster_tests.simulate.shop import Shop
from clm_dagster_tests.simulate.test_shop import SMALL, digest

# The effects of the shop's own campaign on day 20 last until day 30; a new mail would end them.
DAY = 31
ON = SMALL.start + timedelta(days=DAY)
# Effects so large that half of the customers who get a mail order soon after it.
ROWS = {
    "customers": 318,
    "products": 31,
    "events": 3629,
    "promotions": 14,
    "reviews": 26,
    "touches": 106,
}
LOUD = replace(SMALL, effect_positive=4.0, effect_negative=-4.0)


def touches(customers: list[int], arm: str, on: date = ON) -> pd.DataFrame:
    return pd.DataFrame({"day": on, "customer_id": [f"c{number:07d}" for number in customers], "arm": arm})


def orders_of(shop: Shop) -> pd.DataFrame:
    return shop.query("""
        select customer_id, event_at, product_id, quantity, unit_price from events
        where event_type = 'purchase' order by all
    """)


def consenting(shop: Shop) -> list[int]:
    """The customers who signed up before the day and consent."""
    accounts = shop.table("customers")
    accounts = accounts[accounts["signed_up_at"] < str(ON)]
    refused = accounts.loc[accounts["consent_marketing"] == "false", "customer_id"]
    known = sorted(set(accounts["customer_id"]) - set(refused))
    return [int(name[1:]) for name in known]


def test_a_shop_without_touches_is_that_of_earlier_versions(tmp_path: Path) -> None:
    # Counts of one shop, from the version before touches. Other bytes would change all published figures.
    shop = simulate(SMALL, tmp_path / "shop")
    assert shop.rows == ROWS


def test_until_the_first_touch_the_shop_is_the_one_without_touches(tmp_path: Path) -> None:
    plain = digest(simulate(SMALL, tmp_path / "plain").inbox)
    touched = digest(simulate(SMALL, tmp_path / "touched", touches=touches([1, 2, 3], "news")).inbox)
    before = {name for name in plain if int(Path(name).stem.split("-")[0]) < DAY}
    assert len(before) > 60 and all(touched[name] == plain[name] for name in before)
    assert set(plain) != set(touched)


def test_customers_whose_touches_are_the_same_order_the_same(tmp_path: Path) -> None:
    plain = Shop(simulate(LOUD, tmp_path / "plain"))
    may = consenting(plain)
    mailed, alone = may[::2], may[1::2]
    both = [touches(mailed, arm) for arm in ("control", "news")]
    nobody, some = (
        Shop(simulate(LOUD, tmp_path / str(number), touches=rows)) for number, rows in enumerate(both)
    )
    first, second = orders_of(nobody), orders_of(some)
    ids = {f"c{number:07d}" for number in mailed}
    others, same = (
        frame[~frame["customer_id"].isin(ids)].reset_index(drop=True) for frame in (first, second)
    )
    pd.testing.assert_frame_equal(others, same)
    # Among them are orders after the touches, of guests too, and of customers who were not touched.
    later = others[others["event_at"] >= str(ON)]
    assert later["customer_id"].isna().any() and later["customer_id"].isin(f"c{n:07d}" for n in alone).any()
    # Before the touches, and on their day, nobody differs; after it those with a planted effect do, in its direction.
    early, also = (
        frame[frame["event_at"] < str(ON + timedelta(days=1))].reset_index(drop=True)
        for frame in (first, second)
    )
    pd.testing.assert_frame_equal(early, also)
    effect = plain.truth("customers").set_index("customer_id")["effect_news"]
    counts = [
        frame.drop_duplicates(["customer_id", "event_at"]).groupby("customer_id").size()
        for frame in (first, second)
    ]
    more = (
        counts[1].reindex(effect.index, fill_value=0) - counts[0].reindex(effect.index, fill_value=0)
    ).loc[sorted(ids)]
    planted = effect.loc[more.index]
    assert more[planted > 0].sum() > 5 and more[planted < 0].sum() < 0
    assert (more[planted == 0] == 0).all()


def test_touches_replace_the_campaigns_of_the_shop_and_respect_consent(tmp_path: Path) -> None:
    plain = Shop(simulate(SMALL, tmp_path / "plain"))
    may = consenting(plain)
    rows = pd.concat(
        [
            touches(list(range(SMALL.customers)), "discount"),
            touches(may[:5], "control", ON + timedelta(days=3)),
        ]
    )
    shop = Shop(simulate(SMALL, tmp_path / "shop", touches=rows))
    sent = shop.table("touches").assign(day=lambda found: found["sent_at"].str[:10])
    by_day = sent.groupby("day")["customer_id"].agg(set)
    own = SMALL.start + timedelta(days=SMALL.campaign_every - 1)
    assert list(by_day.index) == [str(day) for day in (own, ON, ON + timedelta(days=3))]
    # Who opted out after the shop's own campaign gets none; who consents later, with a later sign-up, neither.
    assert by_day[str(ON)] == {f"c{number:07d}" for number in may}
    planned = sent[sent["day"] > str(own)]
    assert (planned["cost"].astype(float) == np.where(planned["arm"] == "control", 0.0, 0.05)).all()


def test_the_same_touches_in_any_order_are_the_same_shop(tmp_path: Path) -> None:
    rows = touches([1, 2, 3], "news")
    out = tmp_path / "shop"
    simulate(SMALL, out, touches=rows)
    simulate(SMALL, out, touches=rows[::-1])
    for other in (None, touches([1, 2], "news")):
        with pytest.raises(SimulationError, match="other parameters or touches"):
            simulate(SMALL, out, touches=other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arm": "letter"}, "touch 1: letter is no arm; expected control, discount, news"),
        ({"customer_id": "c9999999"}, "touch 1: c9999999 is no customer; expected c0000000 to c0000299"),
        ({"customer_id": "c1"}, "touch 1: c1 is no customer"),
        ({"day": "2023-05-07"}, "no day of the shop; expected 2023-05-08 to before 2023-06-17"),
        ({"day": "soon"}, "touch 1: soon is no day"),
    ],
)
def test_touches_that_cannot_be_sent_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TouchesError, match=message):
        Touches.of(touches([7], "news").assign(**change), SMALL)


def test_touches_without_rows_or_columns_and_two_on_one_day_are_refused() -> None:
    rows = touches([7], "news")
    with pytest.raises(TouchesError, match="no column arm; expected day, customer_id, arm"):
        Touches.of(rows[["day", "customer_id"]], SMALL)
    with pytest.raises(TouchesError, match="there are no touches"):
        Touches.of(rows[:0], SMALL)
    with pytest.raises(TouchesError, match="touch 2: c0000007 has two touches on one day"):
        Touches.of(pd.concat([rows, rows]), SMALL)


def test_the_command_reads_touches_from_a_file(tmp_path: Path) -> None:
    rows = touches([1, 2, 3], "news")
    rows.to_csv(tmp_path / "touches.csv", index=False)
    rows.to_parquet(tmp_path / "touches.parquet")
    size = [
        "--customers",
        "300",
        "--days",
        "40",
        "--products",
        "24",
        "--seed",
        "3",
        "--start-date",
        "2023-05-08",
    ]
    for suffix in ("csv", "parquet"):
        file = tmp_path / f"touches.{suffix}"
        done = CliRunner().invoke(
            cli, ["simulate", "--out", str(tmp_path / suffix), *size, "--touches", str(file)]
        )
        assert done.exit_code == 0, done.output
    assert digest(tmp_path / "csv") == digest(tmp_path / "parquet")
    expected = simulate(SMALL, tmp_path / "expected", touches=rows)
    assert digest(tmp_path / "csv") == digest(expected.out)
    (tmp_path / "broken.parquet").write_text("day,customer_id,arm")
    with pytest.raises(UserError, match="cannot be read as touches"):
        read_touches(tmp_path / "broken.parquet")
    with pytest.raises(UserError, match=r"none\.csv cannot be read as touches: .*No files found"):
        read_touches(tmp_path / "none.csv")


def test_own_numbers_follow_their_distributions_and_belong_to_their_keys() -> None:
    keys, count = np.arange(40_000), 40_000
    shop = Parameters(seed=3)
    draws = OwnNumbers(shop, "test", keys, 7)
    # Four quantities, each of another call: a threshold of 1e-4 each.
    assert stats.kstest(draws.random(count), "uniform").pvalue > 1e-4
    assert stats.kstest(draws.exponential(2.0, count), stats.expon(scale=2.0).cdf).pvalue > 1e-4
    assert (
        stats.kstest(draws.gamma(6.25, np.full(count, 3.0)), stats.gamma(6.25, scale=3.0).cdf).pvalue > 1e-4
    )
    found = np.bincount(draws.poisson(1.2, count), minlength=12)[:12]
    expected = stats.poisson(1.2).pmf(np.arange(12)) * count
    big = expected > 5
    assert stats.chi2(big.sum() - 1).sf(((found - expected)[big] ** 2 / expected[big]).sum()) > 1e-4
    whole = draws.integers(3, 8, count)
    assert set(whole) == {3, 4, 5, 6, 7}
    both = OwnNumbers(shop, "test", keys, 7).random((2, count))
    assert abs(np.corrcoef(both)[0, 1]) < 0.025 and abs(np.corrcoef(both[0][1:], both[0][:-1])[0, 1]) < 0.025
    some = OwnNumbers(shop, "test", keys[100:200], 7).random(100)
    assert (some == both[0][100:200]).all()
    for other in (OwnNumbers(shop, "tests", keys, 7), OwnNumbers(shop, "test", keys, 8)):
        assert not (other.random(count) == both[0]).any()
    with pytest.raises(ValueError, match="3 numbers asked of 40000 streams"):
        OwnNumbers(shop, "test", keys).random(3)
