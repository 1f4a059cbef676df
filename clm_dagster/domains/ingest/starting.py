"""A folder for a new shop: an adapter to fill in, an inbox, and a file of settings.

Belongs here: the files that `clm init` writes. Does not: drafts from a file (`drafting`).
"""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.feeds import is_name

_YAML = """\
name: {name}
description: The orders of {name}.

# Dates, time zone and currency of the shop; the dates of a shop that is still open are found in its files.
settings:
  timezone: Europe/London
  # currency: EUR

tables:
  events:
    # Which files of the inbox hold the orders.
    files: ["*order*"]
    # When a row happened. An offset such as +0100 is respected, a time without one is local to the shop.
    time: "{{{{ instant('ordered_at') }}}}"
    # The columns of your files, with their types. Replace them by your own, here and in events.sql.
    columns:
      order_number: varchar
      ordered_at: timestamp
      email: varchar
      sku: varchar
      product: varchar
      quantity: decimal(18, 4)
      price: decimal(18, 4)
      status: varchar
    rules:
      - "A row is a line of an order. A line with a negative quantity is a return."
    skips:
      cancelled: the order was cancelled
"""
_SQL = """\
-- One row for each row of a file. "Bring your own shop" in the documentation explains the macros and the columns.
select
    {{ provenance() }},
    {{ row_id('order_number', 'sku', 'product', 'price') }} as event_id,
    {{ time() }} as event_at,
    md5(lower({{ identifier('email') }})) as customer_id,
    case when {{ number('quantity') }} < 0 then 'return' else 'purchase' end as event_type,
    {{ identifier('order_number') }} as order_id,
    coalesce({{ identifier('sku') }}, product) as product_id,
    abs({{ number('quantity') }}) as quantity,
    {{ number('price') }} as unit_price,
    product as description,
    case when lower(status) like 'cancel%' then 'cancelled' end as skip_reason
from {{ landed() }}
"""
_ENV = """\
# Settings of this shop, read by `clm` in this folder; `clm settings` explains all of them.
CLM_SOURCE={source}
CLM_ADAPTERS_DIR=adapters
CLM_INPUT=inbox
DAGSTER_DISABLE_TELEMETRY=true
MLFLOW_DISABLE_TELEMETRY=true
"""
_IGNORED = ".env\n/data/\n/inbox/\n"


@dataclass(frozen=True)
class Started:
    """What was written. adapter: the folder to fill in. source: its name."""

    folder: Path
    adapter: Path
    source: str


def start_shop(folder: Path, copied: Path | None, taken: Collection[str]) -> Started:
    """Write a new shop into a folder that does not exist or is empty.

    copied: the folder of an adapter to start from. taken: names of other adapters. The name of the source is that of
    the folder. Raise InputError.
    """
    source = folder.resolve().name.lower().replace("-", "_").replace(" ", "_")
    if not is_name(source):
        raise InputError(
            f"{folder}: {source!r} is not a name for a source; expected lower-case letters, digits and underscores"
        )
    if source in taken:
        raise InputError(f"{folder}: there is an adapter {source!r} already; give the folder another name")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists already and is not empty; give another name, or remove it")
    adapter = folder / "adapters" / source
    adapter.parent.mkdir(parents=True)
    if copied is None:
        adapter.mkdir()
        (adapter / "adapter.yml").write_text(_YAML.format(name=source))
        (adapter / "events.sql").write_text(_SQL)
    else:
        shutil.copytree(copied, adapter)
        _rename(adapter / "adapter.yml", source)
    (folder / "inbox").mkdir()
    (folder / ".env").write_text(_ENV.format(source=source))
    (folder / ".gitignore").write_text(_IGNORED)
    return Started(folder, adapter, source)


def _rename(path: Path, source: str) -> None:
    """Give a copied adapter its own name; its exports stay those of the adapter that it was copied from."""
    lines = path.read_text().splitlines()
    named = [f"name: {source}" if line.startswith("name:") else line for line in lines]
    kept: list[str] = []
    inside = False
    for line in named:
        inside = line.startswith("exports:") or (inside and (not line.strip() or line.startswith((" ", "#"))))
        if not inside:
            kept.append(line)
    path.write_text("\n".join(kept) + "\n")
