"""Delivered files: the same bytes from the same seed, complete or not at all, every fault counted."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from clm_dagster.domains.ingest.contract import read_contract
from clm_dagster.platform.resources import load_sql, warehouse_of
from clm_dagster.settings import load_settings
from clm_dagster.shop_run import run_shop
from clm_dagster.simulate.parameters import Parameters
from clm_dagster.simulate.shop import SimulationError, simulate
from clm_dagster_tests.shops import quiet
from clm_dagster_tests.simulate.shop import Shop

SMALL = Parameters(customers=300, days=40, products=24, seed=3, start=date(2023, 5, 8))
NOT_SIMULATED = ("exchange_rates", "identities")
# Reasons of columns that the simulated files lack, and of faults that they do not have.
NOT_PLANTED = {
    *(
        f"{fault}_{name}"
        for fault in ("bad", "unreadable")
        for name in ("line_amount", "discount_amount", "exchange_rate")
    ),
    "unreadable_tax_amount",
    "amount_too_large",
    "conflicting_rows",
    "mangled_id",
    "no_exchange_rate",
    "too_many_decimals",
}


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads(tmp_path: Path) -> None:
    found = []
    for threads in (1, 3):
        simulate(SMALL, tmp_path / str(threads), threads)
        found.append(digest(tmp_path / str(threads)))
    assert found[0] == found[1] and len(found[0]) > 120
    simulate(replace(SMALL, seed=4), tmp_path / "other")
    other = digest(tmp_path / "other")
    assert all(other[name] != found[0][name] for name in other if "inbox/events" in name and name in found[0])


def test_the_first_customers_do_not_depend_on_how_many_follow(tmp_path: Path) -> None:
    few = Shop(simulate(SMALL, tmp_path / "few")).truth("customers")
    more = Shop(simulate(replace(SMALL, customers=350), tmp_path / "more")).truth("customers")
    for name in ("purchase_rate", "spend_level", "channel", "taste_group"):
        assert (few[name] == more[name][: len(few)]).all()


def test_a_shop_is_written_completely_or_not_at_all_and_never_overwritten(tmp_path: Path) -> None:
    def stop(day: int) -> None:
        if day == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(SMALL, tmp_path / "shop", progress=stop)
    assert not (tmp_path / "shop").exists()
    first = simulate(SMALL, tmp_path / "shop")
    stamp = (first.out / "truth" / "parameters.json").stat().st_mtime_ns
    again = simulate(SMALL, tmp_path / "shop")
    assert again.rows == first.rows
    assert (first.out / "truth" / "parameters.json").stat().st_mtime_ns == stamp
    with pytest.raises(SimulationError, match="other parameters"):
        simulate(replace(SMALL, seed=9), tmp_path / "shop")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(SimulationError, match="not empty"):
        simulate(SMALL, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: replace(SMALL, world="flat"), "stationary"),
        (lambda: replace(SMALL, customers=0), "customers"),
        (lambda: replace(SMALL, seed=-1), "seed"),
    ],
)
def test_invalid_parameters_are_errors(change: Callable[[], Parameters], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        change()


@pytest.mark.parametrize(
    "smallest",
    [
        replace(SMALL, customers=1),
        replace(SMALL, products=1),
        replace(SMALL, products=3),
        replace(SMALL, days=1),
    ],
)
def test_the_smallest_shops_can_be_simulated(smallest: Parameters, tmp_path: Path) -> None:
    shop = Shop(simulate(smallest, tmp_path / "shop"))
    assert len(shop.truth("customers")) == shop.parameters.customers
    assert len(shop.truth("days")) == shop.parameters.days


def test_faults_have_the_planted_frequency_and_known_at(believable: Shop) -> None:
    planted, days = believable.parameters, believable.truth("days")
    total = days["events"].sum()
    for fault, share in (("late", planted.late), ("repeated", planted.repeated)):
        assert days[fault].sum() == pytest.approx(share * total, abs=4 * np.sqrt(share * total))
    # A row that is known later than its event is late or corrected; its file name has the day of delivery.
    late = believable.query("select count(*) as n from events where known_at::date > event_at::date")[
        "n"
    ].item()
    assert late == days["late"].sum() + days["corrected"].sum()
    names = [path.stem.split("-") for path in (believable.out / "inbox" / "events").glob("*-late-*")]
    assert all(int(of) < int(on) or int(on) == planted.days - 1 for on, _, of in names)
    assert len(believable.query("select * from events")) == total


@pytest.mark.slow
def test_the_ledger_of_a_run_matches_the_planted_dirt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    simulated = simulate(SMALL, tmp_path / "shop")
    shop, planted = Shop(simulated), simulated.parameters
    settings = load_settings(
        source="generic",
        input=str(simulated.inbox),
        data_dir=tmp_path / "data",
        start_date=planted.start,
        end_date=planted.end,
        max_rejected_share=1,  # every fault is planted, however few rows a table has
    )
    run_shop(settings, quiet)
    dirt = {(table, reason): rows for table, reason, rows in shop.truth("dirt").itertuples(index=False)}
    repeated = dirt.pop(("events", "duplicate"))
    contract = read_contract(load_sql(settings))
    known = {(t.name, r.reason) for t in contract.values() for r in t.rejects if t.name not in NOT_SIMULATED}
    assert set(dirt) <= known
    assert {reason for _, reason in known - set(dirt)} == NOT_PLANTED
    with warehouse_of(settings).connect("a test") as connection:
        kept = connection.execute("select contract_table, reason, count(*) from raw.rejects group by all")
        assert {(table, reason): rows for table, reason, rows in kept} == dirt
        books = connection.execute(
            "select contract_table, sum(delivered)::int, sum(rejected)::int, sum(duplicate)::int "
            "from raw.deliveries group by 1"
        )
        assert {table: delivered for table, delivered, _, _ in books} == simulated.rows
        assert {table: duplicate for table, _, _, duplicate in books if duplicate} == {"events": repeated}
        # Finally the warehouse contains exactly the true events.
        current = connection.scalar("select count(*) from staging.stg_events")
        assert current == shop.truth("days")["events"].sum()
        units = connection.scalar("select sum(units)::int from core.product_daily")
    assert (
        units
        == shop.query("select sum(quantity)::int as n from events where event_type = 'purchase'")["n"].item()
    )
