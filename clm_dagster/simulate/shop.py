"""Simulate a shop day by day: draw events, write deliveries, record the ground truth.

Belongs here: the sequence of steps in a day. Does not: the steps themselves.

Each purpose and day has its own random stream, so the same parameters give the same bytes with any number of
threads. Memory holds the customers and a few weeks of scheduled events.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clm_dagster.errors import UserError
from clm_dagster.simulate.aliases import Aliases
from clm_dagster.simulate.baskets import Assortment, Baskets
from clm_dagster.simulate.browsing import CLICK, OPEN, Browsing
from clm_dagster.simulate.faults import Dirt, deliver
from clm_dagster.simulate.parameters import ARMS, CHANNELS, Parameters, seconds_of_day, stream
from clm_dagster.simulate.post_purchase import PostPurchase
from clm_dagster.simulate.purchases import Day, Purchases
from clm_dagster.simulate.rows import Rows, numbered, size, stack, take
from clm_dagster.simulate.scenario import Scenario
from clm_dagster.simulate.touches import Touches
from clm_dagster.simulate.writing import Writer

INBOX, TRUTH = "inbox", "truth"


@dataclass(frozen=True)
class Simulated:
    """A simulated shop on disk: its parameters, its folder, and the number of delivered rows by table."""

    parameters: Parameters
    out: Path
    rows: dict[str, int]

    @property
    def inbox(self) -> Path:
        """The folder of deliveries, in the format of `clm run --source generic`."""
        return self.out / INBOX


class SimulationError(UserError, ValueError):
    """The output folder cannot be used; the message says what to do."""


def simulate(
    parameters: Parameters,
    out: Path,
    threads: int = 2,
    progress: Callable[[int], None] = lambda day: None,
    touches: pd.DataFrame | None = None,
) -> Simulated:
    """Write a shop's deliveries to `out/inbox` and its ground truth to `out/truth`, completely or not at all.

    A shop with the same parameters that already exists is kept. `progress` is called with the number of
    finished days. touches: day (a date), customer_id, arm of mails to send. From their first day on the shop has no
    campaigns of its own; customers who have not signed up before the day, or do not consent then, get no mail. Until
    then the shop is the one without touches. From then on what a customer orders, and when, comes from random numbers
    of their own: two shops with different touches differ only in the orders of customers whose touches differ.

    Raises:
        SimulationError: the folder holds another shop, or other files.
        TouchesError: a touch has an unknown customer, arm or day.
    """
    planned = None if touches is None else Touches.of(touches, parameters)
    described = parameters.as_json() | ({"touches": planned.digest} if planned else {})
    record = out / TRUTH / "parameters.json"
    if record.exists():
        stored = json.loads(record.read_text())
        if stored.pop("rows") and stored == described:
            return Simulated(parameters, out, json.loads(record.read_text())["rows"])
        raise SimulationError(
            f"{out} holds a simulated shop with other parameters or touches; remove it, or choose another --out"
        )
    if out.exists() and any(out.iterdir()):
        raise SimulationError(f"{out} is not empty and does not hold a simulated shop; choose another --out")
    scratch = out.with_name(f".{out.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    shop = _Shop(parameters, planned)
    with Writer(parameters, scratch, threads) as writer:
        for day in range(parameters.days):
            shop.day(day, writer)
            progress(day + 1)
        shop.close(writer)
    text = json.dumps(described | {"rows": shop.rows}, indent=1)
    (scratch / TRUTH / "parameters.json").write_text(text + "\n")
    if out.exists():
        out.rmdir()
    scratch.rename(out)
    return Simulated(parameters, out, shop.rows)


class _Shop:
    """The state that is carried from one day to the next."""

    def __init__(self, parameters: Parameters, touches: Touches | None) -> None:
        self.parameters = parameters
        scenario = Scenario.build(parameters)
        self.days, self.catalogue, self.population = scenario.days, scenario.catalogue, scenario.population
        self.purchases = Purchases(scenario, touches.first if touches else None)
        self.baskets = Baskets(scenario)
        self.browsing = Browsing(scenario, self.baskets, self.purchases)
        self.post_purchase = PostPurchase(scenario, self.purchases, touches)
        self.dirt = Dirt(parameters)
        self.aliases = Aliases(parameters, self.population.arrived[:-1]) if parameters.aliases else None
        self.rows: dict[str, int] = {}
        self.history: list[dict[str, Any]] = []

    def day(self, number: int, writer: Writer) -> None:
        """Draw a day and write its deliveries."""
        today = self.purchases.day(number)
        assortment = self.baskets.assortment(number)
        lines = self.baskets.lines(number, today.orders, assortment)
        self.post_purchase.schedule(today, lines)
        parts = [self.browsing.events(today, lines, assortment), self.post_purchase.returns(number)]
        is_campaign = self.post_purchase.is_campaign(number)
        if is_campaign:
            touches, mails, opted_out = self.post_purchase.campaign(today)
            parts.append(mails)
            self._write_table(writer, "touches", number, touches)
        self._write_customers(writer, number, opted_out if is_campaign else np.zeros(0, int))
        self._write_products(writer, number)
        self._write_table(writer, "reviews", number, numbered(self.post_purchase.reviews(number)))
        self._write_events(writer, number, stack(parts), len(today.orders))
        writer.compute(lambda: self._expected_demand(today, assortment), f"demand/{number:05d}")

    def close(self, writer: Writer) -> None:
        """Write the ground truth that is complete only after the last day."""
        writer.truth(self._customer_truth(), "customers")
        writer.truth(self._product_truth(), "products")
        if self.aliases:
            writer.truth(self.aliases.truth(), "identities")
        writer.truth(
            {name: np.array([day[name] for day in self.history]) for name in self.history[0]}, "days"
        )
        repeated = int(sum(day["repeated"] for day in self.history))
        dirt = [(table, reason, rows) for (table, reason), rows in self.dirt.counts.items() if rows]
        dirt.append(("events", "duplicate", repeated))
        columns = zip(("contract_table", "reason", "rows"), zip(*dirt, strict=True), strict=True)
        writer.truth({name: _column(values) for name, values in columns}, "dirt")

    # ---------------------------------------------------------------- deliveries

    def _write_events(self, writer: Writer, number: int, events: Rows, orders: int) -> None:
        rng = stream(self.parameters, "places", number)
        events = numbered(take(events, np.argsort(events["second"], kind="stable")))
        session, customer = events["session"], events["customer"]
        in_app = rng.random(int(session.max(initial=-1)) + 2) < 0.3
        is_mail = (events["type"] == OPEN) | (events["type"] == CLICK)
        events |= {
            "channel": np.where(is_mail, np.int8(2), in_app[session].astype(np.int8)),
            "country": np.where(customer >= 0, self.population.country[customer], np.int8(0)),
        }
        if self.aliases:
            events |= self.aliases.of_events(number, events)
        delivered = deliver(self.parameters, number, events)
        self._write_table(writer, "events", number, delivered.on_time)
        if size(delivered.late):
            self._count_rows("events", size(delivered.late))
            writer.table("events", number, delivered.late, f"{delivered.late_day:05d}-late-{number:05d}")
        self.history.append(
            {"day": number, "level": self.days.level[number], "events": size(events), "orders": orders}
            | delivered.counts
            | {"late_day": delivered.late_day}
        )

    def _write_customers(self, writer: Writer, number: int, opted_out: np.ndarray) -> None:
        """Write the customers who signed up, and those who opted out."""
        population = self.population
        bounds = np.searchsorted(population.arrived[:-1], [number, number + 1])
        new = np.arange(*bounds)
        customer = np.concatenate([new, opted_out])
        arrived = population.arrived[customer]
        second = seconds_of_day(arrived % 1) + 86_400 * (np.floor(arrived).astype(np.int64) - number)
        rows = {"customer": customer, "second": second} | self._attributes(customer)
        rows["known"] = np.where(np.arange(len(customer)) < len(new), -1, number + 1)
        if self.aliases:
            rows = self.aliases.of_accounts(number, rows, self._attributes)
        self._write_table(writer, "customers", number, rows)

    def _attributes(self, customer: np.ndarray) -> Rows:
        names = ("country", "birth_year", "woman", "channel", "consent")
        return {name: getattr(self.population, name)[customer] for name in names}

    def _write_products(self, writer: Writer, number: int) -> None:
        """Write new products, and promotions on the day before they start."""
        catalogue, categories = self.catalogue, np.array(self.parameters.categories, dtype=object)
        new = np.flatnonzero(catalogue.launched == number)
        products = {
            "product": new,
            "name": catalogue.names[new],
            "category": categories[catalogue.category[new]],
        }
        products |= {"price": catalogue.price[new], "cost": catalogue.cost[new]}
        self._write_table(writer, "products", number, products)
        starting = [
            {
                "number": promotion.number,
                "product": -1 if promotion.category >= 0 else int(product),
                "category": categories[promotion.category] if promotion.category >= 0 else None,
                "first": promotion.first,
                "until": promotion.end,
                "discount": promotion.discount,
            }
            for promotion in catalogue.promotions
            if promotion.first == number + 1
            for product in promotion.products[:1]
        ]
        columns = starting[0] if starting else {}
        promotions = {name: _column([row[name] for row in starting]) for name in columns}
        self._write_table(writer, "promotions", number, promotions)

    def _write_table(self, writer: Writer, table: str, number: int, rows: Rows) -> None:
        """Write a table's delivery of a day, unless it has no rows."""
        if not size(rows):
            return
        dirt = self.dirt.rows(table, number)
        self._count_rows(table, size(rows) + (0 if dirt is None else size(dirt)))
        writer.table(table, number, rows, f"{number:05d}", dirt)

    def _count_rows(self, table: str, rows: int) -> None:
        self.rows[table] = self.rows.get(table, 0) + rows

    # ---------------------------------------------------------------- truth

    def _expected_demand(self, today: Day, assortment: Assortment) -> Rows:
        units = self.baskets.expected(today, assortment)
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
            "orders": purchases.order_counts,
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
    """Return the delivered ids of customers or products by their numbers."""
    return np.array([f"{letter}{number:0{digits}d}" for number in numbers], dtype=object)


def _column(values: Sequence[object]) -> np.ndarray:
    """Return an array of numbers, or an object array of texts and nulls."""
    return np.array(values, dtype=object if any(isinstance(v, str | None) for v in values) else None)
