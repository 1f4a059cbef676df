"""Proposals of customers that may be one person, against planted pairs; they join nobody."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.identity.linkage import ID, TooFewPairsError, match_pairs
from clm_dagster.domains.identity.proposals import (
    PROPOSALS,
    ProposalSettings,
    proposal_tables,
    read_records,
    without_hubs,
)
from clm_dagster.platform.build_ledger.versions import ABSENT
from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.partition import PartitionContext, Reading
from clm_dagster.settings import load_settings
from clm_dagster_tests.sql.fixtures import Raw, read_rows

PEOPLE, SECOND_ACCOUNTS = 3_000, 300


def planted(seed: int = 1) -> pd.DataFrame:
    """Accounts with names (some frequent), addresses (shared in families) and devices; some people have two accounts.

    A second account has another device in 30% of cases, moved in 20%, another spelling of the name in 10%.
    """
    rng = np.random.default_rng(seed)
    person = np.arange(PEOPLE)
    household = np.where(rng.random(PEOPLE) < 0.1, person // 2 * 2, person)
    born = rng.integers(1950, 2005, PEOPLE)
    first = pd.DataFrame(
        {
            ID: [f"c{number}" for number in person],
            "name_hash": [f"n{number}" for number in np.minimum(rng.zipf(1.3, PEOPLE), 1_500)],
            "address_hash": [f"a{number}" for number in household],
            "device_id": [f"d{number}" for number in household],
            "phone_hash": [f"p{number}" if rng.random() < 0.6 else None for number in person],
            "birth_year": born.astype(str),
            "gender": rng.choice(["f", "m"], PEOPLE),
            "country": "DE",
        }
    )
    second = first.sample(SECOND_ACCOUNTS, random_state=seed).copy()
    for column, share in (("device_id", 0.3), ("address_hash", 0.2), ("name_hash", 0.1)):
        moved = rng.random(SECOND_ACCOUNTS) < share
        second.loc[moved, column] = [f"{value}-new" for value in second.loc[moved, column]]
    second["phone_hash"] = None
    second[ID] += "-2"
    return pd.concat([first, second], ignore_index=True)


def test_planted_pairs_are_proposed_and_few_others() -> None:
    pairs = match_pairs(planted(), 0.9, threads=1)
    is_right = pairs["other_customer_id"] == pairs[ID] + "-2"
    precision, recall = is_right.mean(), is_right.sum() / SECOND_ACCOUNTS
    print(f"pairs {len(pairs)}, precision {precision:.4f}, recall {recall:.4f}")
    assert precision > 0.95
    assert recall > 0.85
    assert pairs["match_probability"].between(0.9, 1).all()


def test_a_probability_is_as_often_right_as_it_says() -> None:
    pairs = match_pairs(planted(seed=2), 0.1, threads=1)
    is_right = pairs["other_customer_id"] == pairs[ID] + "-2"
    assert abs(pairs["match_probability"].mean() - is_right.mean()) < 0.1


def test_equal_records_give_equal_proposals() -> None:
    accounts = planted()
    first = match_pairs(accounts, 0.9, threads=1)
    again = match_pairs(accounts.sample(frac=1, random_state=3), 0.9, threads=2)
    pd.testing.assert_frame_equal(first, again, check_exact=False, rtol=1e-6)


def test_what_agrees_and_differs_is_named() -> None:
    accounts = {row[ID]: row for row in planted().drop(columns="country").to_dict("records")}
    pairs = match_pairs(planted(), 0.9, threads=1)
    for pair in pairs.head(50).to_dict("records"):
        left, right = accounts[pair[ID]], accounts[pair["other_customer_id"]]
        both = [name for name in left if name != ID and pd.notna(left[name]) and pd.notna(right[name])]
        assert set(pair["agreeing"].split(", ")) == {name for name in both if left[name] == right[name]}
        assert set(pair["differing"].split(", ")) - {""} == {n for n in both if left[n] != right[n]}


def test_a_shop_without_hints_gets_an_explanation() -> None:
    accounts = planted()[[ID, "birth_year", "gender"]]
    with pytest.raises(TooFewPairsError, match="two ways to find pairs with 20 pairs each are needed"):
        match_pairs(accounts, 0.9, threads=1)


def test_an_id_of_many_says_nothing_about_a_pair() -> None:
    accounts = pd.DataFrame(
        {ID: list("abcd"), "device_id": ["x", "x", "x", "y"], "phone_hash": None, "address_hash": "z"}
    )
    assert without_hubs(accounts, 2)["device_id"].fillna("none").tolist() == ["none", "none", "none", "y"]
    assert without_hubs(accounts, 3)["device_id"].tolist() == ["x", "x", "x", "y"]
    assert without_hubs(accounts, 3)["address_hash"].isna().all()


@pytest.fixture
def two_accounts(raw: Raw) -> Raw:
    """Two accounts of one name and address, which the shop knows from 15 January on."""
    for customer in ("anna", "anna-2"):
        raw.add("customers", customer_id=customer, signed_up_at="2024-01-02", birth_year=1980, gender="F")
        for kind in ("name_hash", "address_hash"):
            row = {"customer_id": customer, "other_id": "same", "kind": kind, "known_since": "2024-01-15"}
            raw.add("identities", identity_key=f"{kind}|{customer}", **row)
    return raw


def records(raw: Raw, as_of: datetime, relations: Mapping[str, str]) -> pd.DataFrame:
    """What a step would read at as_of from tables built at it."""
    for name, relation in relations.items():
        schema = "core" if name == "customer_identities" else "staging"
        raw.connection.execute(f"create schema if not exists {schema}")
        raw.connection.execute(f"create or replace view {schema}.{name} as from {relation}")
    partition = PartitionContext("", as_of, None, ABSENT, True)
    return read_records(Reading(raw.connection, partition, ProposalSettings(10, 0.9), raw.project)).accounts


def test_a_name_and_an_address_are_hints_and_join_nobody(two_accounts: Raw) -> None:
    raw, names = two_accounts, ["stg_customers", "stg_identities", "customer_identities"]
    for number, (day, name, address) in enumerate(
        [("2024-01-15", None, None), ("2024-01-22", "same", "same")]
    ):
        as_of = datetime.fromisoformat(day)
        relations = build(raw.connection, raw.project, names, f"built_{number}", {}, as_of=as_of)
        assert read_rows(raw.connection, relations["customer_identities"]) == []
        found = records(raw, as_of, relations)
        assert found[ID].tolist() == ["anna", "anna-2"]
        for column, value in (("name_hash", name), ("address_hash", address), ("gender", "f")):
            assert [None if pd.isna(each) else each for each in found[column]] == [value, value]


def test_the_table_exists_only_if_it_is_wanted(project: Project) -> None:
    assert proposal_tables(project, load_settings()) == []
    (table,) = proposal_tables(project, load_settings(identity_proposals=True))
    assert table.relation == PROPOSALS


def test_nothing_reads_the_proposals(project: Project) -> None:
    readers = [
        model.name
        for model in project.models.values()
        if PROPOSALS in model.refs or "identity_proposals" in model.refs
    ]
    assert readers == []
