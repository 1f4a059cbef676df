"""Aliases planted in a simulated shop: how many pairs of ids are found, and how many of those found are right."""

from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from clm_dagster.domains.ingest.contract import read_contract
from clm_dagster.domains.ingest.loading import create_tables
from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection
from clm_dagster.simulate.parameters import Parameters
from clm_dagster.simulate.shop import simulate

AS_OF = datetime(2024, 6, 3)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a shop in which a third of the people have several ids."""
    parameters = Parameters(customers=3000, days=154, products=40, aliases=1 / 3, seed=8)
    return simulate(parameters, tmp_path_factory.mktemp("aliases") / "shop").out


@pytest.fixture
def shop(simulated: Path, connection: Connection, project: Project) -> Connection:
    """Its valid rows in the raw tables."""
    create_tables(connection, read_contract(project).values())
    for table, key, at in (("events", "event_id", "event_at"), ("customers", "customer_id", "signed_up_at")):
        columns = connection.columns(f"select * from raw.{table}")
        files = f"read_parquet('{simulated}/inbox/{table}/*.parquet', union_by_name = true)"
        given = connection.columns(f"select * from {files}")
        listed = ", ".join(
            f"try_cast({name} as {kind}) as {name}" for name, kind in columns.items() if name in given
        )
        connection.execute(f"""
            insert into raw.{table} by name
            select {listed}{
            ", try_cast(quantity as double) * try_cast(unit_price as double) as line_amount, 1 as exchange_rate"
            if table == "events"
            else ""
        }
            from {files}
            where {key} not like 'x%' and try_cast({at} as timestamp) is not null
            qualify row_number() over (partition by {key} order by try_cast(known_at as timestamp) desc) = 1
        """)
    return connection


def pairs(persons: pd.Series) -> set[tuple[str, str]]:
    """All pairs of ids (the index) with the same person."""
    found = set()
    for ids in persons.index.to_series().groupby(persons.to_numpy()):
        names = sorted(ids[1])
        found |= {(a, b) for n, a in enumerate(names) for b in names[n + 1 :]}
    return found


def test_planted_aliases_are_found_and_traps_are_not(
    shop: Connection, simulated: Path, project: Project
) -> None:
    built = build(shop, project, ["customer_identities", "shared_identifiers"], "found", {}, as_of=AS_OF)
    found = shop.frame(f"select customer_id, person_id from {built['customer_identities']}").set_index(
        "customer_id"
    )
    truth = pd.read_parquet(simulated / "truth" / "identities.parquet").set_index("customer_id")
    # Only ids that occur can be found; the others of the truth are guests without an order.
    seen = {
        name
        for (name,) in shop.execute("""
        select customer_id from found.stg_events where customer_id is not null
        union select customer_id from raw.customers
    """)
    }
    truth = truth[truth.index.isin(seen)]
    wanted, got = pairs(truth["person_id"]), pairs(found["person_id"])
    right = len(wanted & got)
    precision, recall = right / len(got), right / len(wanted)
    kinds = truth["kind"].to_dict()
    of_kind = {
        kind: [pair in got for pair in wanted if kind in (kinds[pair[0]], kinds[pair[1]])]
        for kind in ("guest", "second")
    }
    recalls = {kind: sum(hits) / len(hits) for kind, hits in of_kind.items()}
    print(
        f"pairs {len(wanted)}, found {len(got)}, precision {precision:.4f}, recall {recall:.4f}, by kind {recalls}"
    )
    assert precision > 0.99
    assert recall > 0.85
    assert recalls["guest"] == 1
    hubs = shop.execute(
        f"select distinct other_id from {built['shared_identifiers']} where blocked_by = 'hub'"
    )
    assert hubs == [("kiosk",)]
    # A family shares a device: two people, not one.
    families = shop.scalar(f"""
        select count(distinct other_id) from {built["shared_identifiers"]}
        where kind = 'device_id' and blocked_by = 'unconfirmed'
    """)
    assert families > 50


def test_devices_alone_would_join_families(shop: Connection, simulated: Path, project: Project) -> None:
    """Why a device needs confirmation: the trap is one."""
    project.variables["identity_devices"] = "always"
    try:
        built = build(shop, project, ["customer_identities"], "loose", {}, as_of=AS_OF)
    finally:
        project.variables["identity_devices"] = "confirmed"
    found = shop.frame(f"select customer_id, person_id from {built['customer_identities']}").set_index(
        "customer_id"
    )
    truth = pd.read_parquet(simulated / "truth" / "identities.parquet").set_index("customer_id")
    got, wanted = pairs(found["person_id"]), pairs(truth["person_id"])
    assert len(got & wanted) / len(got) < 0.95
