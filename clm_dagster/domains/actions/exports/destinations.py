"""The destinations of exports.

Belongs here: what each destination gets, and how it recognises a customer. Does not: the layout of its files (`files`),
requests (`webhook`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

# Columns of the view, in the order in which files have them.
_EVERYTHING = ("action", "play", "channel", "expected_cost", "expected_gain", "products", "reason")
_MESSAGE = ("action", "play", "channel", "products")


class Address(Enum):
    """How a destination recognises a customer: by the shop's id, by the address, by its hash."""

    ID = "id"
    PLAIN = "plain"
    HASHED = "hashed"


@dataclass(frozen=True)
class Destination:
    """Where actions are exported to.

    fields: columns of the view that it gets; a row whose fields differ from those sent last is sent again. kinds:
    labels in the UI. gets: what is written, for the description of the asset.
    """

    name: str
    fields: tuple[str, ...]
    address: Address
    kinds: tuple[str, ...]
    gets: str


WEBHOOK = "webhook"
DESTINATIONS: Mapping[str, Destination] = {
    found.name: found
    for found in (
        Destination(
            "klaviyo",
            _MESSAGE,
            Address.PLAIN,
            ("klaviyo", "csv"),
            "a CSV file of profiles to add or change, and one of profiles to take off the list",
        ),
        Destination(
            "mailchimp",
            _MESSAGE,
            Address.PLAIN,
            ("mailchimp", "csv"),
            "a CSV file of contacts with the play as tag, and one of tags to take off",
        ),
        Destination(
            "meta",
            ("play",),
            Address.HASHED,
            ("meta", "csv"),
            "a CSV file of hashed addresses for each play, which is a custom audience, to add or to remove",
        ),
        Destination(
            "google",
            ("play",),
            Address.HASHED,
            ("googleads", "csv"),
            "a CSV file of hashed addresses for each play, which is a Customer Match list, to add or to remove",
        ),
        Destination("csv", _EVERYTHING, Address.ID, ("csv",), "one CSV file with a column for the operation"),
        Destination(
            "parquet",
            _EVERYTHING,
            Address.ID,
            ("parquet",),
            "one Parquet file with a column for the operation",
        ),
        Destination(
            WEBHOOK,
            _EVERYTHING,
            Address.ID,
            ("webhook",),
            "batches of rows as JSON, each with an idempotency key",
        ),
    )
}
