"""Faults in the deliveries: late rows, corrections, repeated and phantom rows, and invalid ("dirty") rows.

Belongs here: how deliveries differ from the true events. Does not: the true events.

Every fault is counted. The latest versions of all delivered rows, without deleted ones, are exactly the true
events: a correction replaces each wrong row, and each phantom row is deleted later.
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
    """A day's events as delivered: `on_time` at night, `late` some days later, and a count of each fault."""

    on_time: Rows
    late: Rows
    late_day: int
    counts: dict[str, int]


def deliver(parameters: Parameters, day: int, events: Rows) -> Delivered:
    """Split a day's events into deliveries; add the columns `known` (day, or -1 for the event's time) and `deleted`."""
    rng = stream(parameters, "faults", day)
    count = size(events)
    draw = rng.random(count)
    is_line = events["type"] == PURCHASE
    late = draw < parameters.late
    corrected = is_line & (draw > 0.5) & (draw < 0.5 + parameters.corrected)
    repeated = draw >= 1 - parameters.repeated
    late_day = min(day + int(rng.integers(1, parameters.longest_delay + 1)), parameters.days - 1)
    events = events | {"known": np.full(count, -1, np.int32), "deleted": np.zeros(count, bool)}
    phantom = take(events, is_line & (rng.random(count) < parameters.phantom))
    phantom |= {"row": count + np.arange(size(phantom))}
    first = take(events, ~late)
    first["quantity"][corrected[~late]] += rng.integers(1, 10, int(corrected.sum()))
    late_rows = [
        _known_from(take(events, late | corrected), late_day + 1),
        _known_from(phantom, late_day + 1) | {"deleted": np.ones(size(phantom), bool)},
        take(events, repeated),
    ]
    counts = {"late": late, "corrected": corrected, "repeated": repeated}
    return Delivered(
        on_time=stack([first, phantom]),
        late=stack(late_rows),
        late_day=late_day,
        counts={name: int(rows.sum()) for name, rows in counts.items()} | {"phantom": size(phantom)},
    )


def _known_from(rows: Rows, day: int) -> Rows:
    """Return the rows with `known_at` set to the start of a day."""
    return rows | {"known": np.full(size(rows), day, np.int32)}


# ------------------------------------------------------------------------------------ dirt

# A valid row of each table; {day} and {id} are placeholders.
_VALID_ROWS: dict[str, Text] = {
    "events": {
        "event_id": "{id}",
        "event_at": "{day} 12:00:00",
        "customer_id": None,
        "event_type": "purchase",
        "order_id": "{id}",
        "product_id": "p00000",
        "quantity": "1",
        "unit_price": "1.00",
        "currency": "EUR",
        "channel": "web",
        "country": "GB",
        "session_id": None,
        "known_at": "{day} 12:00:00",
        "deleted": "false",
    },
    "customers": {
        "customer_id": "{id}",
        "signed_up_at": "{day} 12:00:00",
        "country": "GB",
        "birth_year": "1980",
        "gender": "f",
        "acquisition_channel": "organic",
        "consent_marketing": "true",
        "email_hash": "{id}",
        "known_at": "{day} 12:00:00",
        "deleted": "false",
    },
    "products": {
        "product_id": "{id}",
        "name": "{id}",
        "category": "home",
        "list_price": "1.00",
        "unit_cost": "0.50",
        "known_at": "{day} 00:00:00",
        "deleted": "false",
    },
    "promotions": {
        "promotion_id": "{id}",
        "product_id": "{id}",
        "category": None,
        "starts_at": "{day} 00:00:00",
        "ends_at": "{day} 12:00:00",
        "discount": "0.1",
        "known_at": "{day} 00:00:00",
        "deleted": "false",
    },
    "touches": {
        "touch_id": "{id}",
        "customer_id": "c0000000",
        "sent_at": "{day} 09:00:00",
        "campaign_id": "{id}",
        "channel": "email",
        "arm": "news",
        "cost": "0.05",
        "opened_at": "{day} 10:00:00",
        "clicked_at": "{day} 10:01:00",
        "known_at": "{day} 12:00:00",
        "deleted": "false",
    },
    "reviews": {
        "review_id": "{id}",
        "customer_id": None,
        "product_id": "p00000",
        "written_at": "{day} 12:00:00",
        "rating": "4",
        "text": "{id}",
        "known_at": "{day} 12:00:00",
        "deleted": "false",
    },
}
_VISIT: Text = {"event_type": "visit"}  # needs no quantity or price, but what is given must be readable
_DELETED: Text = {"deleted": "true"}  # needs no dates or discount, but what is given must be readable
_LONG_AGO = "1999-12-31 12:00:00"
# The values that make a row invalid, by table and by the contract's reason.
_INVALID_VALUES: dict[str, dict[str, Text]] = {
    "events": {
        "no_event_id": {"event_id": None},
        "unreadable_event_at": {"event_at": "soon"},
        "outside_dates": {"event_at": _LONG_AGO},
        "unknown_event_type": {"event_type": "wishlist"},
        "no_order_id": {"order_id": None},
        "no_product_id": {"product_id": None},
        "bad_quantity": {"quantity": "0"},
        "bad_unit_price": {"unit_price": "-1.00"},
        "unreadable_quantity": {**_VISIT, "quantity": "many"},
        "unreadable_unit_price": {**_VISIT, "unit_price": "free"},
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
        "unreadable_starts_at": {**_DELETED, "starts_at": "soon"},
        "unreadable_ends_at": {**_DELETED, "ends_at": "later"},
        "unreadable_discount": {**_DELETED, "discount": "half"},
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
_INVALID_IN_ANY_TABLE: dict[str, Text] = {
    "unreadable_known_at": {"known_at": "soon"},
    "unreadable_deleted": {"deleted": "perhaps"},
}


class Dirt:
    """Add rows that violate the contract, of every kind, to some of a table's files, and count them."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._files = dict.fromkeys(_VALID_ROWS, 0)
        self.counts: dict[tuple[str, str], int] = {
            (table, reason): 0
            for table in _VALID_ROWS
            for reason in _INVALID_VALUES[table] | _INVALID_IN_ANY_TABLE
        }

    def rows(self, table: str, day: int) -> Rows | None:
        """Return dirty rows for a table's next file, as text; None for a clean file."""
        number = self._files[table]
        self._files[table] += 1
        if number % self._parameters.dirty_every:
            return None
        # The same number of every kind, so that no column is mostly unreadable, which would reject the whole file.
        times = 1 + number // self._parameters.dirty_every % 3
        date_of_day = self._parameters.start + timedelta(days=day)
        found = []
        for reason, invalid in (_INVALID_VALUES[table] | _INVALID_IN_ANY_TABLE).items():
            for copy in range(times):
                found.append(
                    _fill_placeholders(
                        _VALID_ROWS[table] | invalid, date_of_day, f"x{day:05d}-{reason}-{copy}"
                    )
                )
            self.counts[table, reason] += times
        return {name: np.array([row[name] for row in found], dtype=object) for name in _VALID_ROWS[table]}


def columns(table: str) -> Sequence[str]:
    """Return the columns of a table's deliveries."""
    return list(_VALID_ROWS[table])


def _fill_placeholders(row: Text, day: date, identity: str) -> Text:
    return {
        name: value.replace("{day}", str(day)).replace("{id}", identity) if value else None
        for name, value in row.items()
    }
