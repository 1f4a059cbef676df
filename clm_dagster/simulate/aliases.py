"""People with several ids: guest checkouts, second accounts, shared devices. Off unless `Parameters.aliases` is set.

Belongs here: which id a person uses when, the ids that events and accounts carry, and the truth about them. Does not:
what people buy. A person buys the same with and without aliases.

    guest       40% of the person's orders are guest checkouts with their e-mail address
    late        until a switch day their orders are guest checkouts with their address; then they sign up
    second      from the switch day on they use a second account, with another e-mail address: the same phone number if
                they gave one, and in `SAME_DEVICE` of cases the same device
    family      traps: two people of neighbouring numbers share a device, but are two
    kiosk       a trap: `KIOSK` of all orders come from one device in the shop
"""

import hashlib
from collections.abc import Callable

import numpy as np

from clm_dagster.simulate.parameters import Parameters, stream
from clm_dagster.simulate.rows import Rows, size, stack, take

OWN, GUEST, LATE, SECOND = 0, 1, 2, 3
# What an event's or account's customer_id is.
AS_OWN, AS_GUEST, AS_SECOND, AS_NOBODY = 0, 1, 2, 3
GUEST_ORDERS, SAME_DEVICE, PHONES, FAMILIES, KIOSK = 0.4, 0.7, 0.6, 0.1, 0.01
KIOSK_DEVICE = -2

_EMAIL = "md5('c' || customer)"
_SECOND_ID = "'c' || lpad(cast(customer as varchar), 7, '0') || '-2'"
_DEVICE = (
    f"case device when {KIOSK_DEVICE} then 'kiosk' when -1 then null else 'd' || cast(device as varchar) end"
)
_SECOND_EMAIL = "md5('second' || customer)"
# The additional columns of a table.
EXTRA: dict[str, dict[str, str]] = {
    "events": {
        "email_hash": f"case when alias = {AS_GUEST} then {_EMAIL} end",
        "phone_hash": "cast(null as varchar)",
        "device_id": _DEVICE,
    },
    "customers": {"phone_hash": "case when phone >= 0 then md5('t' || phone) end", "device_id": _DEVICE},
}


def with_aliases(table: str, select: str) -> str:
    """Return a query of a table's rows with the ids of aliases and the additional columns. select: the plain list."""
    if table not in EXTRA:
        return f"select {select} from rows"
    extra = ", ".join(f"{sql} as {name}" for name, sql in EXTRA[table].items())
    replaced = (
        f"case alias when {AS_OWN} then customer_id when {AS_SECOND} then {_SECOND_ID} end as customer_id"
    )
    if table == "customers":
        replaced += f", case when alias = {AS_SECOND} then {_SECOND_EMAIL} else email_hash end as email_hash"
    given = f"select {select}, {extra}, alias, customer from rows"
    return f"select * exclude (alias, customer) replace ({replaced}) from ({given})"


class Aliases:
    """The aliases of all customers of a shop, drawn once."""

    def __init__(self, parameters: Parameters, arrived: np.ndarray) -> None:
        rng, n = stream(parameters, "aliases"), len(arrived)
        self._arrived = np.floor(arrived)
        share = parameters.aliases / 3
        self.kind = rng.choice(4, n, p=[1 - parameters.aliases, share, share, share]).astype(np.int8)
        span = np.maximum(parameters.days - arrived, 0)
        self.switch = np.floor(arrived + span * rng.uniform(0.2, 0.8, n)).astype(np.int64)
        self.phone = np.where(rng.random(n) < PHONES, np.arange(n), -1)
        self.device = np.arange(n)
        family = np.flatnonzero(rng.random(n // 2) < FAMILIES) * 2
        self.device[family + 1] = family
        self.second_device = np.where(rng.random(n) < SAME_DEVICE, self.device, n + np.arange(n))
        self._salt = int(rng.integers(1 << 31))

    def of_events(self, day: int, events: Rows) -> Rows:
        """Return the columns `alias` and `device` of a day's events."""
        customer, order = events["customer"], events["order"]
        known = customer >= 0
        person = np.where(known, customer, 0)
        kind, switched = self.kind[person], day >= self.switch[person]
        is_order = order >= 0
        alias = np.zeros(len(customer), np.int8)
        alias[(kind == GUEST) & is_order & (self._draw(order, 1) < GUEST_ORDERS)] = AS_GUEST
        before = (kind == LATE) & ~switched
        alias[before] = np.where(is_order[before], AS_GUEST, AS_NOBODY)
        alias[(kind == SECOND) & switched] = AS_SECOND
        device = np.where(alias == AS_SECOND, self.second_device[person], self.device[person])
        device[alias == AS_NOBODY] = -1
        device[is_order & (self._draw(order, 2) < KIOSK)] = KIOSK_DEVICE
        alias[~known] = AS_OWN
        device[~known] = -1
        return {"alias": alias, "device": device}

    def of_accounts(self, day: int, rows: Rows, attributes: Callable[[np.ndarray], Rows]) -> Rows:
        """Return a day's rows of the customers table, with accounts opened today, `alias`, `device` and `phone`.

        rows: the customers who arrived or opted out. attributes: returns their columns for given customers.
        """
        kind, switch = self.kind[rows["customer"]], self.switch[rows["customer"]]
        rows = take(rows, (kind != LATE) | (switch <= day))
        late = (self.kind == LATE) & (self._arrived < day)
        opened = np.flatnonzero((self.switch == day) & (late | (self.kind == SECOND)))
        nothing = np.zeros(len(opened), np.int64)
        new = {"customer": opened, "second": nothing} | attributes(opened) | {"known": nothing - 1}
        person = np.concatenate([rows["customer"], opened])
        second = np.concatenate([np.zeros(size(rows), bool), self.kind[opened] == SECOND])
        return stack([rows, {name: new[name] for name in rows}]) | {
            "alias": np.where(second, np.int8(AS_SECOND), np.int8(AS_OWN)),
            "device": np.where(second, self.second_device[person], self.device[person]),
            "phone": self.phone[person],
        }

    def truth(self) -> Rows:
        """Return the person behind each id: every customer, and the ids that guests and second accounts may have."""
        people = np.array([f"c{number:07d}" for number in range(len(self.kind))], dtype=object)
        guests = np.flatnonzero((self.kind == GUEST) | (self.kind == LATE))
        hashes = [hashlib.md5(f"c{number}".encode(), usedforsecurity=False).hexdigest() for number in guests]
        seconds = np.flatnonzero(self.kind == SECOND)
        parts = [
            (people, people, "own"),
            (np.array([f"guest:email:{found}" for found in hashes], dtype=object), people[guests], "guest"),
            (people[seconds] + "-2", people[seconds], "second"),
        ]
        return stack(
            [
                {"customer_id": ids, "person_id": persons, "kind": np.full(len(ids), kind, dtype=object)}
                for ids, persons, kind in parts
            ]
        )

    def _draw(self, order: np.ndarray, purpose: int) -> np.ndarray:
        """Return a number from 0 to 1 for each order, the same whenever the order is seen."""
        mixed = (order.astype(np.uint64) + np.uint64(self._salt + purpose)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        drawn: np.ndarray = (mixed >> np.uint64(40)).astype(float) / (1 << 24)
        return drawn
