"""The state of first purchases: any history of deliveries ends at the rows of one build from scratch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import pandas as pd
import pytest

from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.states import changed_days, record_state
from clm_dagster.platform.build_ledger.versions import WHOLE, Builds
from clm_dagster.platform.dbt_project.building import ChangedDays, build, compile_model, materialize
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster_tests.sql.fixtures import Raw

STATE = "core.customer_products"
START = datetime(2024, 1, 1)
DAYS = 50
AS_OFS = [datetime(2024, 1, 15), datetime(2024, 2, 5), datetime(2024, 3, 11)]
CUSTOMERS = ["anna", "bob", "cleo", "dan", None]
KINDS = ["purchase", "purchase", "purchase", "gift", "return"]


@dataclass
class Shop:
    """A shop whose events change at random, and its state, which is built after each change as by a run."""

    raw: Raw
    rng: Random
    days: int = 0
    number: int = 0
    pieces: list[Sequence[str] | None] = field(default_factory=list)

    def line(self, day: int, **values: Any) -> None:
        self.number += 1
        row: dict[str, Any] = {
            "event_id": f"e{self.number}",
            "customer": self.rng.choice(CUSTOMERS),
            "product_id": self.rng.choice(["p1", "p2", "p3", "p4", "p5", None]),
        } | values
        at = START + timedelta(days=day, seconds=self.rng.randrange(86_400))
        kind = row.pop("kind", self.rng.choice(KINDS))
        self.raw.event(kind, str(at), row.pop("customer"), order_id=f"o{day}", **row)

    def append(self) -> None:
        """Deliver one more day."""
        for _ in range(self.rng.randrange(5)):
            self.line(self.days)
        self.days += 1

    def add_late(self) -> None:
        for _ in range(self.rng.randrange(1, 4)):
            self.line(self.rng.randrange(self.days))

    def correct(self) -> None:
        """Replace a row by another kind, customer or product on the same day, or take it back."""
        found = self._supersede()
        if found:
            event_id, day = found
            deleted = self.rng.random() < 0.5
            self.line(day, event_id=event_id, known_at="2024-06-01", deleted=deleted)

    def move(self) -> None:
        """Move a row to another day: deleted on the old one, new on the other."""
        found = self._supersede()
        if found:
            self.line(
                self.rng.randrange(self.days), event_id=found[0], known_at="2024-06-01", kind="purchase"
            )

    def clear_day(self) -> None:
        day = date(2024, 1, 1) + timedelta(days=self.rng.randrange(self.days))
        self.raw.connection.execute("delete from raw.events where cast(event_at as date) = ?", [day])

    def merge(self) -> None:
        """State that two customers are one person, or no more."""
        one, other = self.rng.sample([name for name in CUSTOMERS if name], 2)
        since = START + timedelta(days=self.rng.randrange(DAYS), hours=1)
        self.number += 1
        self.raw.add(
            "identities",
            identity_key=f"i{self.number}",
            customer_id=one,
            other_id=other,
            kind="customer_id",
            known_since=str(since),
            known_at="2023-01-01",
            deleted=self.rng.random() < 0.3,
        )

    def _supersede(self) -> tuple[str, int] | None:
        rows = self.raw.connection.execute(
            "select event_id, cast(event_at as date) from raw.events where superseded_at is null order by all"
        )
        if not rows:
            return None
        event_id, day = self.rng.choice(rows)
        self.raw.connection.execute(
            "update raw.events set superseded_at = timestamp '2024-06-01' "
            "where event_id = ? and superseded_at is null",
            [event_id],
        )
        return str(event_id), (day - START.date()).days

    def run(self) -> None:
        """Record the days of the events as a load does, and bring the state up to date as its asset does."""
        connection, project = self.raw.connection, self.raw.project
        model = project.models["customer_products"]
        with connection.transaction():
            versions.record_days(connection, "raw.events", "event_at", "run")
            days = changed_days(connection, project, model, Builds.read(connection))
            self.pieces.append(days)
            if days is None or days:
                piece = None if days is None else ChangedDays(tuple(days))
                materialize(connection, model, STATE, compile_model(project, model, piece), piece)
            rows = connection.scalar(f"select count(*) from {STATE}")
            record_state(connection, project, model, Builds.read(connection), rows, "run")


@pytest.fixture
def shop(raw: Raw) -> Shop:
    build(raw.connection, raw.project, ["stg_order_lines"], "staging", {})
    raw.connection.execute("create schema if not exists core")
    return Shop(raw, Random(0))


def grown(shop: Shop, seed: int = 0) -> Shop:
    shop.rng = Random(seed)
    for _ in range(DAYS):
        shop.append()
    shop.run()
    return shop


def pairs(raw: Raw, relation: str = STATE) -> list[tuple[Any, ...]]:
    return raw.connection.execute(f"from {relation} order by all")


def by_hand(raw: Raw) -> list[tuple[Any, ...]]:
    """Return the first purchases of the current rows, in pandas."""
    rows = raw.connection.frame("select * from raw.events")
    rows = rows[rows["superseded_at"].isna() & ~rows["deleted"] & (rows["event_type"] == "purchase")]
    rows = rows.dropna(subset=["customer_id", "product_id"])
    rows = rows.assign(day=pd.to_datetime(rows["event_at"]).dt.date)
    firsts = rows.groupby(["customer_id", "product_id"])["day"].min()
    return sorted(firsts.reset_index().itertuples(index=False, name=None))


def features(raw: Raw, schema: str, given: dict[str, str]) -> list[tuple[Any, ...]]:
    built = build(raw.connection, raw.project, ["customer_features"], schema, given, as_of=AS_OFS)
    return raw.connection.execute(f"from {built['customer_features']} order by all")


@pytest.mark.parametrize("seed", range(6))
def test_any_history_ends_at_the_rows_of_a_build_from_scratch(seed: int, shop: Shop) -> None:
    grown(shop, seed)
    raw, changes = shop.raw, (shop.append, shop.add_late, shop.correct, shop.move, shop.clear_day, shop.merge)
    for _ in range(25):
        for change in shop.rng.choices(changes, k=shop.rng.randrange(1, 4)):
            change()
        shop.run()
        assert pairs(raw) == by_hand(raw), shop.pieces[-1]
    # Only the first build was one from scratch.
    assert shop.pieces[0] is None and None not in shop.pieces[1:]
    assert features(raw, "kept", {"customer_products": STATE}) == features(raw, "scratch", {})


def test_distinct_products_of_persons_are_those_of_their_customers(shop: Shop) -> None:
    grown(shop, 7)
    for _ in range(3):
        shop.merge()
    found = features(shop.raw, "persons", {"customer_products": STATE})
    people = dict(
        shop.raw.connection.execute("select (as_of, customer_id), person_id from persons.customer_identities")
    )
    assert found and people
    names = list(shop.raw.connection.columns("select * from persons.customer_features"))
    for row in (dict(zip(names, values, strict=True)) for values in found):
        as_of, person = row["as_of"], row["customer_id"]
        products = {
            product
            for customer, product, day in by_hand(shop.raw)
            if day < as_of.date() and people.get((as_of, customer), customer) == person
        }
        assert row["distinct_products"] == len(products), row


def test_a_run_without_a_change_builds_nothing(shop: Shop) -> None:
    grown(shop).run()
    assert shop.pieces == [None, []]


def test_a_new_day_changes_only_that_day(shop: Shop) -> None:
    grown(shop).line(DAYS, kind="purchase", customer="new", product_id="p1")
    shop.run()
    assert shop.pieces[-1] == ["2024-02-20"]
    assert ("new", "p1", date(2024, 2, 20)) in pairs(shop.raw)


@pytest.mark.parametrize(
    "edit",
    [
        f"drop table {STATE}",
        f"delete from {STATE} where product_id = 'p1'",
        f"alter table {STATE} add column more varchar",
        f"update raw.builds set version = 'other' where relation = '{STATE}' and partition_key = '{WHOLE}'",
        f"delete from raw.builds where relation = '{STATE}'",
        f"update raw.builds set version = 'other' where relation = '{STATE}'",
    ],
)
def test_a_state_that_is_not_as_recorded_is_built_from_scratch(edit: str, shop: Shop) -> None:
    grown(shop).raw.connection.execute(edit)
    shop.run()
    assert shop.pieces == [None, None]
    assert pairs(shop.raw) == by_hand(shop.raw)


def test_a_build_that_fails_changes_neither_the_state_nor_its_entries(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = grown(shop).raw
    before = pairs(raw), raw.connection.execute("from raw.builds order by all")
    shop.line(3, kind="purchase", customer="late", product_id="p1")
    hooks = raw.project.models["customer_products"].config
    monkeypatch.setitem(hooks, "post_hook", "select error('half-way')")
    with pytest.raises(ProjectError, match="half-way"):
        shop.run()
    assert (pairs(raw), raw.connection.execute("from raw.builds order by all")) == before


def test_the_versions_of_days_before_an_as_of_do_not_change_with_later_days(shop: Shop) -> None:
    """A snapshot is out of date only if a day before it has changed."""

    def version(week: str) -> str:
        found = Builds.read(shop.raw.connection).input_version(
            shop.raw.project, "customer_products", "snapshot", week
        )
        return found.hash

    grown(shop)
    before = version("2024-01-08"), version("2024-02-12")
    shop.line(20, kind="purchase", customer="late", product_id="p1")  # 21 January
    shop.run()
    after = version("2024-01-08"), version("2024-02-12")
    assert after[0] == before[0] and after[1] != before[1]
