"""What goes wrong between the shop and the warehouse, all of it counted: late rows, corrections, dirt.

Belongs here: deliveries that differ from what happened. Does not: what happened.

What is delivered in the end, deleted rows left out, is exactly what happened: a correction restores what was
delivered wrong, and a row that never was is deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from clm_dagster.simulate.browsing import PURCHASE
from clm_dagster.simulate.parameters import Parameters, stream
from clm_dagster.simulate.rows import Rows, size, stack, take

Text = dict[str, str | None]


@dataclass(frozen=True)
class Delivered:
    """A day's events as they are delivered: at night, and (`late`) some days later, with a count of each fault."""

    on_time: Rows
    late: Rows
    late_day: int
    counts: dict[str, int]


def deliver(parameters: Parameters, day: int, events: Rows) -> Delivered:
    """Split a day's events into deliveries. Adds the columns `known` (days; -1: at once) and `deleted`."""
    rng = stream(parameters, "faults", day)
    count = size(events)
    chance = rng.random(count)
    is_line = events["type"] == PURCHASE
    late = chance < parameters.late
    corrected = is_line & (chance > 0.5) & (chance < 0.5 + parameters.corrected)
    repeated = chance >= 1 - parameters.repeated
    late_day = min(day + int(rng.integers(1, parameters.longest_delay + 1)), parameters.days - 1)
    events = events | {"known": np.full(count, -1, np.int32), "deleted": np.zeros(count, bool)}
    phantom = take(events, is_line & (rng.random(count) < parameters.phantom))
    phantom |= {"row": count + np.arange(size(phantom))}
    first = take(events, ~late)
    first["quantity"][corrected[~late]] += rng.integers(1, 10, int(corrected.sum()))
    afterwards = [
        _learnt(take(events, late | corrected), late_day + 1),
        _learnt(phantom, late_day + 1) | {"deleted": np.ones(size(phantom), bool)},
        take(events, repeated),
    ]
    counts = {"late": late, "corrected": corrected, "repeated": repeated}
    return Delivered(
        on_time=stack([first, phantom]),
        late=stack(afterwards),
        late_day=late_day,
        counts={name: int(rows.sum()) for name, rows in counts.items()} | {"phantom": size(phantom)},
    )


def _learnt(rows: Rows, day: int) -> Rows:
    """The rows, learnt as a day begins."""
    return rows | {"known": np.full(size(rows), day, np.int32)}


# ------------------------------------------------------------------------------------ dirt

# A row as it should be, by table; {day} and {id} are filled in.
_GOOD: dict[str, Text] = {
    "events": {
        "event_id": "{id}", "event_at": "{day} 12:00:00", "customer_id": None, "event_type": "purchase",
        "order_id": "{id}", "product_id": "p00000", "quantity": "1", "unit_price": "1.00", "currency": "EUR",
        "channel": "web", "country": "GB", "session_id": None, "known_at": "{day} 12:00:00", "deleted": "false",
    },
    "customers": {
        "customer_id": "{id}", "signed_up_at": "{day} 12:00:00", "country": "GB", "birth_year": "1980",
        "gender": "f", "acquisition_channel": "organic", "consent_marketing": "true", "email_hash": "{id}",
        "known_at": "{day} 12:00:00", "deleted": "false",
    },
    "products": {
        "product_id": "{id}", "name": "{id}", "category": "home", "list_price": "1.00", "unit_cost": "0.50",
        "known_at": "{day} 00:00:00", "deleted": "false",
    },
    "promotions": {
        "promotion_id": "{id}", "product_id": "{id}", "category": None, "starts_at": "{day} 00:00:00",
        "ends_at": "{day} 12:00:00", "discount": "0.1", "known_at": "{day} 00:00:00", "deleted": "false",
    },
    "touches": {
        "touch_id": "{id}", "customer_id": "c0000000", "sent_at": "{day} 09:00:00", "campaign_id": "{id}",
        "channel": "email", "arm": "news", "cost": "0.05", "opened_at": "{day} 10:00:00",
        "clicked_at": "{day} 10:01:00", "known_at": "{day} 12:00:00", "deleted": "false",
    },
    "reviews": {
        "review_id": "{id}", "customer_id": None, "product_id": "p00000", "written_at": "{day} 12:00:00",
        "rating": "4", "text": "{id}", "known_at": "{day} 12:00:00", "deleted": "false",
    },
}  # fmt: skip
_LOOKING: Text = {"event_type": "visit"}  # a quantity or price is not asked of it, but must be readable
_GONE: Text = {"deleted": "true"}  # dates and discount are not asked of it, but must be readable
_LONG_AGO = "1999-12-31 12:00:00"
# What spoils it, by table and the contract's reason.
_SPOILT: dict[str, dict[str, Text]] = {
    "events": {
        "no_event_id": {"event_id": None},
        "unreadable_event_at": {"event_at": "soon"},
        "outside_dates": {"event_at": _LONG_AGO},
        "unknown_event_type": {"event_type": "wishlist"},
        "no_order_id": {"order_id": None},
        "no_product_id": {"product_id": None},
        "bad_quantity": {"quantity": "0"},
        "bad_unit_price": {"unit_price": "-1.00"},
        "unreadable_quantity": {**_LOOKING, "quantity": "many"},
        "unreadable_unit_price": {**_LOOKING, "unit_price": "free"},
    },
    "customers": {
        "no_customer_id": {"customer_id": None},
        "unreadable_signed_up_at": {"signed_up_at": "soon"},
        "unreadable_birth_year": {"birth_year": "young"},
        "unreadable_consent_marketing": {"consent_marketing": "perhaps"},
    },
    "products": {
        "no_product_id": {"product_id": None},
        "bad_list_price": {"list_price": "-1.00"},
        "bad_unit_cost": {"unit_cost": "-1.00"},
        "unreadable_list_price": {"list_price": "cheap"},
        "unreadable_unit_cost": {"unit_cost": "cheap"},
    },
    "promotions": {
        "no_promotion_id": {"promotion_id": None},
        "bad_dates": {"ends_at": "{day} 00:00:00"},
        "bad_discount": {"discount": "1.5"},
        "unreadable_starts_at": {**_GONE, "starts_at": "soon"},
        "unreadable_ends_at": {**_GONE, "ends_at": "later"},
        "unreadable_discount": {**_GONE, "discount": "half"},
    },
    "touches": {
        "no_touch_id": {"touch_id": None},
        "unreadable_sent_at": {"sent_at": "soon"},
        "outside_dates": {"sent_at": _LONG_AGO},
        "no_customer_id": {"customer_id": None},
        "unreadable_cost": {"cost": "cheap"},
        "unreadable_opened_at": {"opened_at": "soon"},
        "unreadable_clicked_at": {"clicked_at": "soon"},
    },
    "reviews": {
        "no_review_id": {"review_id": None},
        "unreadable_written_at": {"written_at": "soon"},
        "outside_dates": {"written_at": _LONG_AGO},
        "bad_rating": {"rating": "6"},
        "unreadable_rating": {"rating": "good"},
    },
}
_ANY: dict[str, Text] = {
    "unreadable_known_at": {"known_at": "soon"},
    "unreadable_deleted": {"deleted": "perhaps"},
}


class Dirt:
    """Rows that the contract forbids, of every kind, in some of a table's files; and how many there were."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._files = dict.fromkeys(_GOOD, 0)
        self.counts: dict[tuple[str, str], int] = {
            (table, reason): 0 for table in _GOOD for reason in _SPOILT[table] | _ANY
        }

    def rows(self, table: str, day: int) -> Rows | None:
        """Dirt for a table's next file, as text; None for a clean file."""
        number = self._files[table]
        self._files[table] += 1
        if number % self._parameters.dirty_every:
            return None
        # As many of every kind: no column of a file is mostly unreadable, which would condemn the file.
        times = 1 + number // self._parameters.dirty_every % 3
        when = self._parameters.start + timedelta(days=day)
        found = []
        for reason, spoilt in (_SPOILT[table] | _ANY).items():
            for copy in range(times):
                found.append(_filled(_GOOD[table] | spoilt, when, f"x{day:05d}-{reason}-{copy}"))
            self.counts[table, reason] += times
        return {name: np.array([row[name] for row in found], dtype=object) for name in _GOOD[table]}


def columns(table: str) -> Sequence[str]:
    """The columns of a table's deliveries."""
    return list(_GOOD[table])


def _filled(row: Text, day: date, identity: str) -> Text:
    return {
        name: value.replace("{day}", str(day)).replace("{id}", identity) if value else None
        for name, value in row.items()
    }
