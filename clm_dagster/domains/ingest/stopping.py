"""The rule that stops a run after loading: a delivery with many rejected rows, or no accepted row at all.

Belongs here: the rule and its message. Does not: reasons for a single row (the contract), the check and the run that
stop (`assets`, `shop_run`).

Rows outside the shop's dates do not count, since the dates are chosen, and neither do skipped rows. A delivery is
judged once all its rows are loaded. Events are judged by delivery. The other tables are judged as a whole: their files
are often a few changed rows, and a bad one among them must not stop a shop.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clm_dagster.domains.ingest.landing import Delivery
from clm_dagster.domains.ingest.masking import form_of
from clm_dagster.domains.ingest.settings import IngestSettings
from clm_dagster.domains.ingest.source import ShopSource
from clm_dagster.platform import quoting
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.warehouse import Connection

_EXAMPLES = 3
_MOST_DELIVERIES, _MOST_REASONS, _MOST_COLUMNS = 5, 10, 12


@dataclass(frozen=True)
class _Loaded:
    """The rows of a delivery for one table, without those outside the shop's dates."""

    delivery_id: str
    file: str
    delivered: int
    accepted: int
    rejected: int
    duplicate: int
    skipped: int

    @property
    def judged(self) -> int:
        return self.delivered - self.skipped

    @property
    def share(self) -> float:
        return self.rejected / self.judged if self.judged else 0.0


def reason_to_stop(
    connection: Connection, source: ShopSource, deliveries: Sequence[Delivery], table: str
) -> str | None:
    """Return why no table should be built from a raw table: the reasons, and the places of three rows. Else None.

    The message goes to logs and webhooks, so it shows the forms of values and no value: the columns that the adapter
    names, without personal data of the contract.
    """
    limit = source.settings.of(IngestSettings).max_rejected_share
    loaded = _loaded(connection, source, deliveries, table)
    bad = [d for d in (loaded if table == "events" else _together(loaded)) if d.share > limit]
    if bad:
        lines = [
            f"{d.file}: {d.rejected:,} of {d.judged:,} rows of {table} are rejected ({d.share:.0%}), more than the "
            f"{limit:.0%} that CLM_MAX_REJECTED_SHARE allows."
            for d in bad[:_MOST_DELIVERIES]
        ]
        if len(bad) > _MOST_DELIVERIES:
            lines.append(f"The same holds for {len(bad) - _MOST_DELIVERIES} more files.")
    elif table == "events" and loaded and not any(d.accepted or d.duplicate for d in loaded):
        bad = loaded
        lines = [f"None of the {sum(d.delivered for d in loaded):,} rows of {table} is accepted."]
    else:
        return None
    if table != "events":
        bad = loaded
    names = ", ".join(quoting.text(d.delivery_id) for d in bad)
    where = f"contract_table = '{table}' and delivery_id in ({names})"
    lines += _reasons(connection, source, table, where)
    lines += _example_rows(connection, source, table, where)
    lines.append(
        f"Loading is complete and nothing is lost: every rejected row is in raw.rejects of "
        f"{warehouse_of(source.settings).database}. Nothing else was built. Correct the files, the adapter "
        f"{source.adapter.name} or the shop's dates, or raise CLM_MAX_REJECTED_SHARE, and run again."
    )
    return "\n".join(lines)


def _loaded(
    connection: Connection, source: ShopSource, deliveries: Sequence[Delivery], table: str
) -> list[_Loaded]:
    """Return the deliveries of which all landed rows are loaded, those with most rejected rows first."""
    feeds = {feed.name for feed in source.adapter.tables.get(table, ())}
    landed = {
        d.delivery_id: sum(sum(f.days.values()) for name, f in d.of_table(table).items() if name in feeds)
        for d in deliveries
    }
    rows = connection.execute(f"""
        with outside as (
            select delivery_id, count(*) as n from raw.rejects
            where contract_table = '{table}' and reason = 'outside_dates' group by 1
        )
        select ledger.delivery_id, max(source_file), sum(delivered)::bigint,
            sum(accepted)::bigint, sum(rejected)::bigint, sum(duplicate)::bigint, sum(skipped)::bigint,
            coalesce(max(outside.n), 0)
        from raw.deliveries as ledger left join outside using (delivery_id)
        where contract_table = '{table}' group by 1 order by 5 desc, 1
    """)
    return [
        _Loaded(name, file, delivered - outside, accepted, rejected - outside, duplicate, skipped)
        for name, file, delivered, accepted, rejected, duplicate, skipped, outside in rows
        if landed.get(name) == delivered
    ]


def _together(loaded: Sequence[_Loaded]) -> list[_Loaded]:
    """Return all deliveries as one, none if there are none."""
    if not loaded:
        return []
    file = loaded[0].file if len(loaded) == 1 else f"{len(loaded):,} files"
    counts = ((d.delivered, d.accepted, d.rejected, d.duplicate, d.skipped) for d in loaded)
    return [_Loaded("", file, *(sum(column) for column in zip(*counts, strict=True)))]


def _reasons(connection: Connection, source: ShopSource, table: str, where: str) -> list[str]:
    described = source.adapter.reasons(table)
    rejected = connection.execute(
        f"select reason, count(*) from raw.rejects where {where} group by 1 order by 2 desc, 1"
    )
    skipped = connection.execute(
        f"select feed, reason, sum(row_count)::bigint from raw.skips where {where} group by all order by 3 desc, 1, 2"
    )
    lines = [f"  {reason}, {n:,} rows: {described.get(reason, '')}" for reason, n in rejected[:_MOST_REASONS]]
    if len(rejected) > _MOST_REASONS:
        lines.append(f"  {len(rejected) - _MOST_REASONS} more reasons")
    lines += [
        f"  skipped by the feed {feed}, {reason}, {n:,} rows" for feed, reason, n in skipped[:_MOST_REASONS]
    ]
    return ["Reasons:", *lines] if lines else []


def _example_rows(connection: Connection, source: ShopSource, table: str, where: str) -> list[str]:
    """Return the places of up to three rejected rows, of different reasons where there are several."""
    rows = connection.execute(f"""
        select source_file, source_row, reason, source_columns from (
            select *, count(*) over (partition by reason) as frequency, row_number() over (
                partition by reason order by source_file, source_row, feed
            ) as nth
            from raw.rejects where {where}
        ) order by nth, frequency desc, reason limit {_EXAMPLES}
    """)
    feeds = source.adapter.tables[table]
    contract = source.contract[table]
    named = {name for feed in feeds for name in (*feed.types, *feed.required)} | set(contract.columns)
    lines = [
        f"  {file}, row {row}, {reason}: {_values(json.loads(text), named - contract.personal)}"
        for file, row, reason, text in rows
    ]
    return ["Examples, with x for a letter and 9 for a digit:", *lines] if lines else []


def _values(row: dict[str, Any], named: set[str]) -> str:
    found = []
    for name, value in row.items():
        if name not in named or value is None:
            continue
        found.append(f"{name} {form_of(value)}")
    return ", ".join(found[:_MOST_COLUMNS]) + (", ..." if len(found) > _MOST_COLUMNS else "")
