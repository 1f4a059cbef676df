"""Assignment: the same number in Python and SQL, uniform, independent, and stable."""

import hashlib

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare, kstest

from clm_dagster.statistics.experiments.assignment import (
    GLOBAL_HOLDOUT,
    arms,
    balance,
    hash_numbers,
    is_held_out,
    number_sql,
    text_sql,
)

IDS = [f"customer-{number}" for number in range(20_000)]
NAMES = ["win_back", "coupon", "2024-05 / spring", GLOBAL_HOLDOUT]
# DuckDB ends a text at a zero character in places, and UTF-8 has no lone surrogates.
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
NAMED = TEXTS.filter(lambda text: bool(text) and "\x1f" not in text)


def from_sql(ids: list[str], experiment: str, key: str) -> np.ndarray:
    with duckdb.connect() as connection:
        connection.register("customers", pd.DataFrame({"id": pd.Series(ids, dtype=object)}))
        number = number_sql("id", text_sql(experiment), "$key")
        found: np.ndarray = (
            connection.execute(f"select {number} as n from customers", {"key": key}).df()["n"].to_numpy()
        )
    return found


@pytest.mark.parametrize("experiment", NAMES)
def test_sql_gives_the_same_numbers_to_the_bit(experiment: str) -> None:
    np.testing.assert_array_equal(
        from_sql(IDS[:5_000], experiment, "a key"), hash_numbers(IDS[:5_000], experiment, "a key")
    )


@settings(max_examples=60, deadline=None)
@given(ids=st.lists(TEXTS, min_size=1, max_size=5), experiment=NAMED, key=NAMED)
def test_sql_gives_the_same_numbers_for_any_text(ids: list[str], experiment: str, key: str) -> None:
    np.testing.assert_array_equal(from_sql(ids, experiment, key), hash_numbers(ids, experiment, key))


def test_a_missing_customer_has_no_number_in_sql_and_is_refused_in_python() -> None:
    row = duckdb.execute(f"select {number_sql('null::varchar', text_sql('a'), text_sql('k'))}").fetchall()[0]
    assert row == (None,)
    with pytest.raises(ValueError, match="got a NoneType in row 1"):
        hash_numbers(["a", None], "a", "k")  # type: ignore[list-item]


def test_numbers_are_the_first_52_bits_of_the_hash() -> None:
    digest = hashlib.sha256(b"key\x1fwin_back\x1fc1").digest()
    expected = (int.from_bytes(digest, "big") >> (256 - 52)) / 2**52
    assert hash_numbers(["c1"], "win_back", "key")[0] == expected


@pytest.mark.parametrize("experiment", NAMES)
def test_numbers_are_uniform(experiment: str) -> None:
    numbers = hash_numbers(IDS, experiment, "key")
    assert numbers.min() >= 0 and numbers.max() < 1
    assert chisquare(np.histogram(numbers, 50, (0, 1))[0]).pvalue > 0.001
    assert kstest(numbers, "uniform").pvalue > 0.001


def test_held_out_counts_over_many_experiments_are_binomial() -> None:
    """Neither too far from the share nor too near."""
    counts = np.array([is_held_out(IDS[:1_000], f"experiment {n}", "salt").sum() for n in range(1_000)])
    deviations = (counts - 100) / np.sqrt(1_000 * 0.1 * 0.9)
    assert abs(deviations.mean()) < 3 / np.sqrt(1_000)
    assert 0.8 < deviations.var() < 1.2


@pytest.mark.parametrize(("one", "other"), [(NAMES[0], NAMES[1]), (NAMES[0], GLOBAL_HOLDOUT)])
def test_experiments_are_independent(one: str, other: str) -> None:
    a, b = (np.floor(hash_numbers(IDS, name, "key") * 10).astype(int) for name in (one, other))
    assert chi2_contingency(pd.crosstab(a, b)).pvalue > 0.001


def test_keys_are_independent() -> None:
    a, b = (is_held_out(IDS, "win_back", key, 0.5) for key in ("key", "another"))
    assert chi2_contingency(pd.crosstab(a, b)).pvalue > 0.001


@given(st.permutations(IDS[:30]))
def test_a_customer_keeps_their_arm_whoever_else_is_there(ids: list[str]) -> None:
    expected = dict(zip(IDS, is_held_out(IDS[:30], "a", "k", 0.5), strict=False))
    found = is_held_out(ids[:10], "a", "k", 0.5)
    assert dict(zip(ids, found, strict=False)) == {one: expected[one] for one in ids[:10]}


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_the_held_out(one: float, other: float) -> None:
    small, large = sorted((one, other))
    inside = is_held_out(IDS[:500], "a", "k", small)
    assert is_held_out(IDS[:500], "a", "k", large)[inside].all()


def test_arms_have_their_shares_and_the_first_is_the_holdout() -> None:
    shares = {"control": 0.1, "coupon": 0.6, "reminder": 0.3}
    found = arms(IDS, "win_back", "key", shares)
    counts = pd.Series(found).value_counts()[list(shares)]
    assert chisquare(counts, np.array(list(shares.values())) * len(IDS)).pvalue > 0.001
    np.testing.assert_array_equal(found == "control", is_held_out(IDS, "win_back", "key"))


def test_an_arm_with_a_share_of_zero_is_empty() -> None:
    assert set(arms(IDS[:1_000], "a", "k", {"x": 0.0, "y": 0.5, "z": 0.5, "w": 0.0})) == {"y", "z"}


@pytest.mark.parametrize("text", ["", "a\x1fb"])
def test_a_name_that_could_collide_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="separator"):
        hash_numbers(["c"], text, "key")
    with pytest.raises(ValueError, match="separator"):
        hash_numbers(["c"], "experiment", text)


@pytest.mark.parametrize("shares", [{"a": 0.5, "b": 0.4}, {"a": 1.2, "b": -0.2}])
def test_shares_that_are_no_shares_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        arms(["c"], "a", "k", shares)
    with pytest.raises(ValueError, match="between 0 and 1"):
        is_held_out(["c"], "a", "k", 1.5)


def test_balance_counts_strata_and_their_deviation() -> None:
    strata = pd.DataFrame({"country": ["NL"] * 60 + ["DE"] * 40, "tier": ["a", None] * 50})
    held_out = np.zeros(100, dtype=bool)
    held_out[:10] = True
    table = balance(held_out, strata).set_index(["column", "stratum"])
    assert (table.loc[("country", "NL"), "customers"], table.loc[("country", "NL"), "held_out"]) == (60, 10)
    assert table.loc[("tier", "(missing)"), "customers"] == 50
    # By hand: 10 of 100 held out, 60 in NL: variance 60 x .1 x .9 x 40 / 99.
    assert table.loc[("country", "NL"), "deviations"] == pytest.approx(4 / np.sqrt(5.4 * 40 / 99))


def test_deviations_of_balance_are_standardised() -> None:
    rng = np.random.default_rng(5)
    strata = pd.DataFrame({"segment": rng.choice(list("abcde"), 5_000)})
    found = [
        balance(is_held_out(IDS[:5_000], f"e{n}", "key"), strata)["deviations"].to_numpy() for n in range(200)
    ]
    assert np.concatenate(found).std() == pytest.approx(1, abs=0.08)


def test_balance_of_nobody_or_everybody_deviates_nowhere() -> None:
    strata = pd.DataFrame({"segment": ["a", "b", "b"]})
    for held_out in (np.zeros(3, dtype=bool), np.ones(3, dtype=bool)):
        assert balance(held_out, strata)["deviations"].tolist() == [0, 0]
