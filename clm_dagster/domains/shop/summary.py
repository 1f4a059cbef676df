"""The summary at the end of a run, from the published copy.

Belongs here: the key figures of a shop and their layout in the terminal. Does not belong here: computation of the
figures (SQL).
"""

import shlex
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clm_dagster.domains.shop.grades import Grade, newest_grades, read_history, render_grades
from clm_dagster.domains.shop.models_summary import ModelState, read_models, render_models
from clm_dagster.platform.partitions import key_of_as_of
from clm_dagster.platform.publish.publishing import published_place
from clm_dagster.platform.publish.reading import connect_published
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings, SettingsError

# Further rejection reasons are summed up in one line.
_MOST_REASONS = 6
_MOST_REMARKS = 20
# Width of the first column of what to look at next.
_PLACE_WIDTH = 26


@dataclass(frozen=True)
class Summary:
    """Key figures of the loaded shop.

    ledger: delivered, accepted, rejected, duplicate and skipped rows by contract table. reasons: contract table,
    reason and number of rejected rows. days: first and last day and number of days. segments: name, customers and
    net revenue at as_of, in display order. guests: text that was read as no customer, and number of rows. remarks:
    file, and what was found about it, see raw.files. as_of, snapshot: of the newest scores, and its partition key.
    models: the state of each trained model. grades: the newest grade of each model.
    """

    ledger: dict[str, tuple[int, int, int, int, int]]
    reasons: list[tuple[str, str, int]]
    days: tuple[str, str, int]
    customers: int
    orders: int
    net_revenue: Decimal
    known_net_revenue: Decimal
    currency: str
    as_of: str
    snapshot: str
    segments: list[tuple[str, int, Decimal]]
    guests: list[tuple[str, int]]
    remarks: list[tuple[str, str]]
    models: list[ModelState]
    grades: list[Grade]


# What a first run builds up to its snapshots.
_RELATIONS = (
    "raw.deliveries",
    "raw.rejects",
    "raw.no_customers",
    "raw.events",
    "core.totals_daily",
    "core.customer_daily",
    "core.rfm_scores",
    "staging.rfm_segment_names",
    "marts.rfm_segments",
)


def read_summary(settings: Settings) -> Summary:
    """Read the figures. Raise SettingsError if no whole run was published, WarehouseBusyError if it is locked."""
    with connect_published(settings, "summary") as connection:
        missing = [relation for relation in _RELATIONS if connection.relation_kind(relation) is None]
        if missing:
            raise SettingsError(
                f"{published_place(settings)} does not have {', '.join(missing)} yet: it was published before a first "
                "run was complete; run `clm run`, which goes on with the rest"
            )
        return _read(connection)


def as_dict(summary: Summary) -> dict[str, object]:
    """Return the figures for programs. Money is text, so that no digit is lost. Customers are counted, not named."""
    counts = ("delivered", "accepted", "rejected", "duplicate", "skipped")
    first, last, days = summary.days
    return {
        "ledger": {table: dict(zip(counts, row, strict=True)) for table, row in summary.ledger.items()},
        "rejects": [
            {"table": table, "reason": reason, "rows": rows} for table, reason, rows in summary.reasons
        ],
        "first_day": first or None,
        "last_day": last or None,
        "days": days,
        "customers": summary.customers,
        "orders": summary.orders,
        "net_revenue": str(summary.net_revenue),
        "known_net_revenue": str(summary.known_net_revenue),
        "currency": summary.currency,
        "as_of": summary.as_of if summary.snapshot else None,
        "snapshot": summary.snapshot or None,
        "segments": [
            {"segment": name, "customers": count, "net_revenue": str(money)}
            for name, count, money in summary.segments
        ],
        "remarks": [{"file": file, "remark": remark} for file, remark in summary.remarks],
        "models": [asdict(state) for state in summary.models],
        "grades": [asdict(grade) for grade in summary.grades],
    }


def _read(connection: Connection) -> Summary:
    # A copy that was published before there were feeds does not count skipped rows.
    counts_skipped = "skipped" in connection.columns("select * from raw.deliveries")
    skipped = "sum(skipped)::bigint" if counts_skipped else "0"
    ledger = {
        table: (delivered, accepted, rejected, duplicate, skipped)
        for table, delivered, accepted, rejected, duplicate, skipped in connection.execute(
            "select contract_table, sum(delivered)::bigint, sum(accepted)::bigint, sum(rejected)::bigint, "
            f"sum(duplicate)::bigint, {skipped} from raw.deliveries group by 1 order by 1"
        )
    }
    reasons = connection.execute(
        "select contract_table, reason, count(*) from raw.rejects group by all order by 3 desc, 1, 2"
    )
    first, last, days = connection.execute(
        "select min(sales_date)::varchar, max(sales_date)::varchar, count(*) from core.totals_daily"
    )[0]
    net, orders = connection.execute(
        "select coalesce(sum(net_revenue), 0), coalesce(sum(orders), 0)::bigint from core.totals_daily"
    )[0]
    customers, known = connection.execute(
        "select count(distinct customer_id) filter (where orders > 0), coalesce(sum(net_revenue), 0) "
        "from core.customer_daily"
    )[0]
    currency = connection.scalar(
        "select string_agg(distinct currency, '/') from raw.events "
        "where exchange_rate = 1 and event_at >= (select max(sales_date) from core.totals_daily)"
    )
    as_of = connection.scalar("select max(as_of) from core.rfm_scores")
    segments = connection.execute(
        "select names.segment, count(scores.customer_id), coalesce(sum(scores.monetary), 0) "
        "from staging.rfm_segment_names as names "
        "left join marts.rfm_segments as scores on names.segment = scores.segment and scores.as_of = ? "
        "group by names.segment, names.position "
        "having names.segment <> 'undetermined' or count(scores.customer_id) > 0 order by names.position",
        [as_of],
    )
    guests = connection.execute(
        "select customer_id, sum(row_count)::bigint from raw.no_customers group by 1 order by 2 desc, 1"
    )
    return Summary(
        ledger=ledger,
        reasons=reasons,
        days=(first or "", last or "", days),
        customers=customers,
        orders=orders,
        net_revenue=net,
        known_net_revenue=known,
        currency=currency or "",
        as_of=f"{as_of:%Y-%m-%d}" if as_of else "none yet",
        snapshot=key_of_as_of(as_of) if as_of else "",
        segments=segments,
        guests=guests,
        remarks=_remarks(connection),
        models=read_models(connection),
        grades=newest_grades(read_history(connection)),
    )


def _remarks(connection: Connection) -> list[tuple[str, str]]:
    """Return files that are not read, columns under another name, and unknown columns that resemble a known one."""
    if connection.relation_kind("raw.files") is None:  # published before there was such a table
        return []
    return connection.execute(
        "select source_file, unnest(remarks) from raw.files order by status, source_file"
    )


def render(summary: Summary, settings: Settings) -> RenderableType:
    """Return the summary for the terminal."""
    names = ["delivered", "accepted", "rejected", "duplicate"]
    if any(numbers[-1] for numbers in summary.ledger.values()):
        names.append("skipped")
    rows = Table("", *names, box=None, header_style="bold", pad_edge=False)
    for table, numbers in summary.ledger.items():
        rows.add_row(f"{table}, rows", *(f"{n:,}" for n in numbers[: len(names)]))
    for column in rows.columns[1:]:
        column.justify = "right"
    rejects = [
        Text(f"  rejected {n:>9,}  {reason} ({table})")
        for table, reason, n in summary.reasons[:_MOST_REASONS]
    ]
    others = summary.reasons[_MOST_REASONS:]
    if others:
        rows_left = sum(n for _, _, n in others)
        rejects.append(Text(f"  rejected {rows_left:>9,}  for {len(others)} other reasons"))
    rejects += [
        Text(f"  guests   {n:>9,}  customer_id {text!r} was read as no customer (CLM_NO_CUSTOMER)")
        for text, n in summary.guests[:_MOST_REASONS]
    ]
    remarks = [_indented(f"{file}: {text}") for file, text in summary.remarks[:_MOST_REMARKS]]
    if len(summary.remarks) > _MOST_REMARKS:
        remarks.append(
            _indented(f"{len(summary.remarks) - _MOST_REMARKS:,} further remarks are in raw.files")
        )
    first, last, days = summary.days
    facts = Text.assemble(
        ("\nShop       ", "bold"),
        f"{settings.source}, {first} to {last}, {days:,} {'day' if days == 1 else 'days'} with events\n",
        ("Orders     ", "bold"),
        f"{summary.orders:,}\n",
        ("Customers  ", "bold"),
        f"{summary.customers:,} known customers with an order\n",
        ("Net revenue", "bold"),
        f" {f'{summary.net_revenue:,.2f} {summary.currency}'.strip()}, of which {summary.known_net_revenue:,.2f} "
        "from known customers\n",
        ("Snapshot   ", "bold"),
        f"{_snapshot(summary)}\n",
    )
    total = sum((revenue for _, _, revenue in summary.segments), Decimal(0)) or Decimal(1)
    segments = Table(
        f"RFM segment at {summary.as_of}",
        "customers",
        "net revenue",
        "share",
        box=None,
        header_style="bold",
        pad_edge=False,
    )
    for name, customers, revenue in summary.segments:
        segments.add_row(name, f"{customers:,}", f"{revenue:,.2f}", f"{revenue / total:.1%}")
    for column in segments.columns[1:]:
        column.justify = "right"
    learnt = [*render_models(summary.models), *render_grades(summary.grades)]
    return Group(rows, *rejects, *remarks, facts, segments, *learnt, *_where_to_look(settings))


def _indented(text: str, by: int = 2) -> Padding:
    """Return a text whose further lines begin below its first."""
    return Padding(Text(text), (0, 0, 0, by))


def _where_to_look(settings: Settings) -> list[Text | Padding]:
    """Return what to open or read next. A command or path is never broken: it can be copied."""
    found: list[Text | Padding] = [Text("\nWhere to look next", "bold")]
    for place, text in (
        (_ui(settings), "the Dagster UI: assets, checks, charts, history"),
        (_published_copy(settings), "every table, read-only"),
        ("marts.rfm_segments", "the segment of each customer, and the previous one"),
        ("raw.rejects", "every rejected row in full, with its reason"),
        ("raw.files", "every file of the input, and how it is written"),
    ):
        if len(place) <= _PLACE_WIDTH:
            found.append(Text(f"  {place:<{_PLACE_WIDTH}}  {text}"))
        else:
            found += [
                Text(f"  {place}", no_wrap=True, overflow="ignore"),
                _indented(text, by=_PLACE_WIDTH + 4),
            ]
    return found


def _snapshot(summary: Summary) -> str:
    """Return the newest snapshot by its partition key, a Monday, and its as_of, which are easily confused."""
    if not summary.snapshot:
        return "none yet"
    return f"{summary.snapshot}, the Monday of its week; as_of {summary.as_of}, behaviour before it counts"


def _ui(settings: Settings) -> str:
    """Return the command that opens the UI for this shop. A data folder other than the default must be named.

    A shop with a prefix is one of several, which the UI of their project shows.
    """
    if settings.asset_prefix:
        return "dg dev"
    folder = settings.data_dir
    return "clm dev" if folder == Path("data") else f"CLM_DATA_DIR={shlex.quote(str(folder))} clm dev"


def _published_copy(settings: Settings) -> str:
    return (
        published_place(settings)
        if settings.has_lake
        else str(settings.data_dir / "published" / "clm.duckdb")
    )
