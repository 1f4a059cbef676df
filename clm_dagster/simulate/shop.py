"""The simulated shop, day by day: draw, deliver, keep the truth.

Belongs here: the order of a day. Does not: any of its parts.

Each purpose of each day has random numbers of its own, so the same parameters give the same bytes, whatever
the number of threads; memory holds the customers and a few weeks of what is to come.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clm_dagster.errors import UserError
from clm_dagster.simulate.aftermath import Aftermath
from clm_dagster.simulate.baskets import Baskets, Shelf
from clm_dagster.simulate.browsing import CLICK, OPEN, Browsing
from clm_dagster.simulate.faults import Dirt, deliver
from clm_dagster.simulate.parameters import ARMS, CHANNELS, Parameters, seconds_of_day, stream
from clm_dagster.simulate.purchases import Day, Purchases
from clm_dagster.simulate.rows import Rows, numbered, size, stack, take
from clm_dagster.simulate.scene import Scene
from clm_dagster.simulate.writing import Writer

INBOX, TRUTH = "inbox", "truth"


@dataclass(frozen=True)
class Simulated:
    """What was written: where, and how many rows the deliveries hold."""

    parameters: Parameters
    out: Path
    rows: dict[str, int]

    @property
    def inbox(self) -> Path:
        """The deliveries, as `clm run --source generic` takes them."""
        return self.out / INBOX


class SimulationError(UserError, ValueError):
    """A shop cannot be written where it was asked for; the message says what would do."""


def simulate(
    parameters: Parameters, out: Path, threads: int = 2, progress: Callable[[int], None] = lambda day: None
) -> Simulated:
    """Write a shop's deliveries to `out/inbox` and its truth to `out/truth`, wholly or not at all.

    A shop of the same parameters that is there already is left as it is. Raises SimulationError if
    something else is. `progress` is called with the number of days that are done.
    """
    record = out / TRUTH / "parameters.json"
    if record.exists():
        stored = json.loads(record.read_text())
        if stored.pop("rows") and stored == parameters.as_json():
            return Simulated(parameters, out, json.loads(record.read_text())["rows"])
        raise SimulationError(
            f"{out} holds a simulated shop of other parameters; remove it, or choose another --out"
        )
    if out.exists() and any(out.iterdir()):
        raise SimulationError(f"{out} is not empty and holds no simulated shop; choose another --out")
    scratch = out.with_name(f".{out.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    shop = _Shop(parameters)
    with Writer(parameters, scratch, threads) as writer:
        for day in range(parameters.days):
            shop.day(day, writer)
            progress(day + 1)
        shop.close(writer)
    text = json.dumps(parameters.as_json() | {"rows": shop.rows}, indent=1)
    (scratch / TRUTH / "parameters.json").write_text(text + "\n")
    if out.exists():
        out.rmdir()
    scratch.rename(out)
    return Simulated(parameters, out, shop.rows)


class _Shop:
    """Everything that is carried from one day to the next."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        scene = Scene.build(parameters)
        self.days, self.catalogue, self.population = scene.days, scene.catalogue, scene.population
        self.purchases = Purchases(scene)
        self.baskets = Baskets(scene)
        self.browsing = Browsing(scene, self.baskets, self.purchases)
        self.aftermath = Aftermath(scene, self.purchases)
        self.dirt = Dirt(parameters)
        self.rows: dict[str, int] = {}
        self.history: list[dict[str, Any]] = []

    def day(self, number: int, writer: Writer) -> None:
        """Draw a day and write what is delivered of it."""
        today = self.purchases.day(number)
        shelf = self.baskets.shelf(number)
        lines = self.baskets.lines(number, today.orders, shelf)
        self.aftermath.follow(today, lines)
        parts = [self.browsing.events(today, lines, shelf), self.aftermath.returns(number)]
        mailed = self.aftermath.is_campaign(number)
        if mailed:
            touches, mails, objecting = self.aftermath.campaign(today)
            parts.append(mails)
            self._table(writer, "touches", number, touches)
        self._customers(writer, number, objecting if mailed else np.zeros(0, int))
        self._goods(writer, number)
        self._table(writer, "reviews", number, numbered(self.aftermath.reviews(number)))
        self._events(writer, number, stack(parts), len(today.orders))
        writer.compute(lambda: self._demand(today, shelf), f"demand/{number:05d}")

    def close(self, writer: Writer) -> None:
        """Write what is known at the end only."""
        writer.truth(self._customer_truth(), "customers")
        writer.truth(self._product_truth(), "products")
        writer.truth(
            {name: np.array([day[name] for day in self.history]) for name in self.history[0]}, "days"
        )
        repeated = int(sum(day["repeated"] for day in self.history))
        dirt = [(table, reason, rows) for (table, reason), rows in self.dirt.counts.items() if rows]
        dirt.append(("events", "duplicate", repeated))
        columns = zip(("contract_table", "reason", "rows"), zip(*dirt, strict=True), strict=True)
        writer.truth({name: _column(values) for name, values in columns}, "dirt")

    # ---------------------------------------------------------------- deliveries

    def _events(self, writer: Writer, number: int, events: Rows, orders: int) -> None:
        rng = stream(self.parameters, "places", number)
        events = numbered(take(events, np.argsort(events["second"], kind="stable")))
        session, customer = events["session"], events["customer"]
        in_app = rng.random(int(session.max(initial=-1)) + 2) < 0.3
        mails = (events["type"] == OPEN) | (events["type"] == CLICK)
        events |= {
            "channel": np.where(mails, np.int8(2), in_app[session].astype(np.int8)),
            "country": np.where(customer >= 0, self.population.country[customer], np.int8(0)),
        }
        found = deliver(self.parameters, number, events)
        self._table(writer, "events", number, found.on_time)
        if size(found.late):
            self._count("events", size(found.late))
            writer.table("events", number, found.late, f"{found.late_day:05d}-late-{number:05d}")
        self.history.append(
            {"day": number, "level": self.days.level[number], "events": size(events), "orders": orders}
            | found.counts | {"late_day": found.late_day}
        )  # fmt: skip

    def _customers(self, writer: Writer, number: int, objecting: np.ndarray) -> None:
        """Those who signed up, and those whose consent has changed."""
        population = self.population
        bounds = np.searchsorted(population.arrived[:-1], [number, number + 1])
        fresh = np.arange(*bounds)
        who = np.concatenate([fresh, objecting])
        arrived = population.arrived[who]
        second = seconds_of_day(arrived % 1) + 86_400 * (np.floor(arrived).astype(np.int64) - number)
        rows = {"customer": who, "second": second}
        for name in ("country", "birth_year", "woman", "channel", "consent"):
            rows[name] = getattr(population, name)[who]
        rows["known"] = np.where(np.arange(len(who)) < len(fresh), -1, number + 1)
        self._table(writer, "customers", number, rows)

    def _goods(self, writer: Writer, number: int) -> None:
        """Products that come into the shop, promotions on the day before they begin."""
        catalogue, shelves = self.catalogue, np.array(self.parameters.categories, dtype=object)
        fresh = np.flatnonzero(catalogue.launched == number)
        products = {
            "product": fresh,
            "name": catalogue.names[fresh],
            "category": shelves[catalogue.category[fresh]],
        }
        products |= {"price": catalogue.price[fresh], "cost": catalogue.cost[fresh]}
        self._table(writer, "products", number, products)
        coming = [
            {
                "number": promotion.number, "product": -1 if promotion.category >= 0 else int(product),
                "category": shelves[promotion.category] if promotion.category >= 0 else None,
                "first": promotion.first, "until": promotion.end, "discount": promotion.discount,
            }
            for promotion in catalogue.promotions
            if promotion.first == number + 1
            for product in promotion.products[:1]
        ]  # fmt: skip
        named = coming[0] if coming else {}
        promotions = {name: _column([row[name] for row in coming]) for name in named}
        self._table(writer, "promotions", number, promotions)

    def _table(self, writer: Writer, table: str, number: int, rows: Rows) -> None:
        """A table's delivery of a day; none without a row."""
        if not size(rows):
            return
        dirt = self.dirt.rows(table, number)
        self._count(table, size(rows) + (0 if dirt is None else size(dirt)))
        writer.table(table, number, rows, f"{number:05d}", dirt)

    def _count(self, table: str, rows: int) -> None:
        self.rows[table] = self.rows.get(table, 0) + rows

    # ---------------------------------------------------------------- truth

    def _demand(self, today: Day, shelf: Shelf) -> Rows:
        units = self.baskets.expected(today, shelf)
        sold = np.flatnonzero(units > 0)
        day = np.full(len(sold), today.number)
        return {"day": day, "product_id": identity("p", sold, 5), "expected_units": units[sold]}

    def _customer_truth(self) -> Rows:
        population, purchases = self.population, self.purchases
        count = population.guest
        truth = {
            "customer_id": identity("c", np.arange(count), 7),
            "arrived_at": population.arrived[:count],
            "channel": np.array(CHANNELS, dtype=object)[population.channel[:count]],
            "taste_group": population.group[:count],
            "purchase_rate": population.rate[:count],
            "dropout_probability": population.dropout[:count],
            "first_order_at": purchases.first_order_at,
            "dropped_out_at": purchases.dropped_at,
            "orders": purchases.bought,
            "spend_level": self.parameters.spend_p / population.spend_rate[:count],
            "price_sensitivity": population.sensitivity[:count],
        }
        truth |= {f"effect_{arm}": population.effects[:count, n] for n, arm in enumerate(ARMS) if n}
        products = identity("p", np.arange(len(self.catalogue.price)), 5)
        for n in range(self.parameters.favourites):
            truth[f"favourite_{n + 1}"] = products[population.favourites[:count, n]]
        return truth | {
            f"taste_{name}": population.tastes[:count, n] for n, name in enumerate(self.parameters.categories)
        }

    def _product_truth(self) -> Rows:
        catalogue = self.catalogue
        return {
            "product_id": identity("p", np.arange(len(catalogue.price)), 5),
            "category": np.array(self.parameters.categories, dtype=object)[catalogue.category],
            "popularity": catalogue.popularity,
            "quality": catalogue.quality,
            "goes_with": identity("p", catalogue.partner, 5),
            "launched": catalogue.launched,
            "ended": catalogue.ended,
        }


def identity(letter: str, numbers: np.ndarray, digits: int) -> np.ndarray:
    """The ids of customers or products by their numbers, as they are delivered."""
    return np.array([f"{letter}{number:0{digits}d}" for number in numbers], dtype=object)


def _column(values: Sequence[Any]) -> np.ndarray:
    """An array of numbers, or of text in which None is nothing."""
    return np.array(values, dtype=object if any(isinstance(v, str | None) for v in values) else None)
