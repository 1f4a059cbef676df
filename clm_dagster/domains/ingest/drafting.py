"""Drafts of adapters: adapter.yml and its SQL for a file, for a person to finish.

Belongs here: which column is probably which of the contract, and the text of the two files. Does not: looking at files
(`inspecting`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.formats.dialects import fold

if TYPE_CHECKING:
    from clm_dagster.domains.ingest.inspecting import Inspection

# Usual names of the contract's columns, the likelier first.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "event_id": ("event_id", "line_id", "lineitem id", "order_item_id", "row_id", "transaction_id"),
    "event_at": (
        "event_at", "created_at", "order_date", "invoice_date", "purchase_date", "ordered_at", "order date (utc)",
        "paid_at", "date_created", "order_created_at", "timestamp", "datetime", "date", "time",
    ),
    "event_type": ("event_type",),
    "customer_id": (
        "customer_id", "client_id", "user_id", "buyer_id", "customer_email", "email", "billing_email", "customer",
        "buyer", "who",
    ),
    "order_id": (
        "order_id", "order_number", "order_no", "order #", "invoice_id", "invoice_no", "invoice", "order", "name",
        "id",
    ),
    "product_id": (
        "product_id", "lineitem sku", "sku", "variant_sku", "stock_code", "item_id", "article", "item #", "product",
        "item",
    ),
    "quantity": ("quantity", "lineitem quantity", "qty", "units", "item_quantity", "items sold"),
    "unit_price": ("unit_price", "lineitem price", "item_price", "price", "item cost", "price_per_unit"),
    "currency": ("currency", "currency_code", "order_currency"),
    "country": ("country", "shipping country", "billing country", "country_code"),
    "channel": ("channel", "source", "sales_channel"),
    "description": ("description", "lineitem name", "product_name", "item name", "title"),
}  # fmt: skip
_NEEDED = ("event_at", "order_id", "product_id", "quantity", "unit_price")
_TYPES = {"instant": "timestamp", "number": "decimal(18, 4)", "whole": "bigint", "text": "varchar"}


@dataclass(frozen=True)
class Draft:
    """An adapter for one file. mapping: contract column -> column. missing: needed columns that were not found."""

    mapping: dict[str, str]
    missing: tuple[str, ...]
    yaml: str
    sql: str


def guess(columns: Sequence[str]) -> dict[str, str]:
    """Return which column is probably which of the contract's: contract column -> column."""
    folded = {fold(name): name for name in reversed(columns)}
    found: dict[str, str] = {}
    for target, names in SYNONYMS.items():
        name = next((folded[fold(n)] for n in names if fold(n) in folded), None)
        if name and name not in found.values():
            found[target] = name
    return found


def draft(inspection: "Inspection", name: str) -> Draft:
    """Return an adapter for the events in a file."""
    columns = [column.name for column in inspection.columns]
    mapping = guess(columns)
    needed = ("event_at", "event_type") if "event_type" in mapping else _NEEDED
    missing = tuple(target for target in needed if target not in mapping)
    return Draft(mapping, missing, _yaml(inspection, name, mapping, missing), _sql(columns, mapping))


def write_draft(found: Draft, folder: Path) -> None:
    """Write a draft as a new adapter. Raise InputError if there is one of this name."""
    if folder.exists():
        raise InputError(f"{folder} exists already; give another name, or remove it")
    folder.mkdir(parents=True)
    (folder / "adapter.yml").write_text(found.yaml)
    (folder / "events.sql").write_text(found.sql)


def _yaml(inspection: "Inspection", name: str, mapping: dict[str, str], missing: Sequence[str]) -> str:
    types = {column.name: _TYPES[column.kind] for column in inspection.columns}
    if "event_at" in mapping:
        types[mapping["event_at"]] = "timestamp"
    lines = [f"name: {name}", f"description: {json.dumps(f'Drafted from {inspection.path.name}.')}", ""]
    if inspection.open_dates:
        lines += ["# Every date has two readings; check that this is the right one.", "dates: day_first", ""]
    lines += [f"# Not found, to be filled in: {', '.join(missing)}"] if missing else []
    time = (
        f"{{{{ instant({_literal(mapping['event_at'])}) }}}}"
        if "event_at" in mapping
        else "cast(null as timestamp)"
    )
    lines += [
        "tables:",
        "  events:",
        '    files: ["*"]',
        f"    time: {json.dumps(time, ensure_ascii=False)}",
        "    columns:",
    ]
    lines += [f"      {json.dumps(column, ensure_ascii=False)}: {kind}" for column, kind in types.items()]
    lines += [f"    required: {json.dumps(sorted(set(mapping.values())), ensure_ascii=False)}"]
    lines += ["    rules:", '      - "A row with a negative quantity is a return, any other row a purchase."']
    return "\n".join(lines) + "\n"


def _sql(columns: Sequence[str], mapping: dict[str, str]) -> str:
    def macro(kind: str, target: str) -> str:
        return f"{{{{ {kind}({_literal(mapping[target])}) }}}}"

    def or_null(kind: str, target: str, sql_type: str = "varchar") -> str:
        return macro(kind, target) if target in mapping else f"cast(null as {sql_type})"

    listed = ", ".join(_literal(column) for column in columns)
    quantity = or_null("number", "quantity", "decimal(18, 4)")
    kind = f"case when {quantity} < 0 then 'return' else 'purchase' end"
    if "event_type" in mapping:
        kind = f"lower({macro('identifier', 'event_type')})"
    customer = or_null("identifier", "customer_id")
    if "mail" in mapping.get("customer_id", "").lower():
        customer = f"md5(lower({customer}))"
    selected = {
        "event_id": macro("identifier", "event_id")
        if "event_id" in mapping
        else f"{{{{ row_id({listed}) }}}}",
        "event_at": "{{ time() }}",
        "customer_id": customer,
        "event_type": kind,
        "order_id": or_null("identifier", "order_id"),
        "product_id": or_null("identifier", "product_id"),
        "quantity": f"abs({quantity})",
        "unit_price": or_null("number", "unit_price", "decimal(18, 4)"),
    }
    for optional in ("currency", "country", "channel", "description"):
        if optional in mapping:
            selected[optional] = macro("identifier", optional)
    lines = ",\n".join(f"    {sql} as {name}" for name, sql in selected.items())
    return f"select\n    {{{{ provenance() }}}},\n{lines}\nfrom {{{{ landed() }}}}\n"


def _literal(name: str) -> str:
    """Return a name as a string in a template."""
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"
