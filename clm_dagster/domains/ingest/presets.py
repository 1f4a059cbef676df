"""Exports of known shop systems, recognised by the names of their columns.

Belongs here: which columns tell an export. Does not: adapters for them (`dbt_like_sql/adapters`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from clm_dagster.domains.ingest.formats.dialects import fold


@dataclass(frozen=True)
class Preset:
    """An export of a shop system. columns: names that only this export has together."""

    name: str
    description: str
    columns: tuple[str, ...]


PRESETS = (
    Preset(
        "shopify_orders",
        "Shopify, export of orders",
        (
            "Name",
            "Financial Status",
            "Fulfillment Status",
            "Lineitem name",
            "Lineitem quantity",
            "Lineitem price",
        ),
    ),
    Preset(
        "shopify_customers",
        "Shopify, export of customers",
        ("First Name", "Last Name", "Accepts Email Marketing", "Total Spent", "Total Orders"),
    ),
    Preset(
        "woocommerce_orders",
        "WooCommerce, export of orders",
        ("Order Number", "Order Status", "Order Date", "Item #", "Item Name", "Item Cost"),
    ),
    Preset(
        "woocommerce_analytics",
        "WooCommerce Analytics, report of orders",
        ("Date", "Order #", "Status", "Customer", "Product(s)", "Items sold", "N. Revenue"),
    ),
)
# An export may lack columns that its user switched off.
_ENOUGH = 0.8


def recognise(columns: Sequence[str]) -> Preset | None:
    """Return the export that has these columns, None if it is none that is known."""
    folded = {fold(name) for name in columns}
    shares = {
        preset: sum(fold(c) in folded for c in preset.columns) / len(preset.columns) for preset in PRESETS
    }
    best = max(shares, key=lambda preset: shares[preset])
    return best if shares[best] >= _ENOUGH else None
