"""The two clocks: versions, late deliveries, and that neither order nor ranges of loading matter."""

import hashlib
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clm_dagster.domains.ingest.contract import ContractTable
from clm_dagster.domains.ingest.loading import Days
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster_tests.domains.ingest.shop import FIRST, LATER, LATEST, Shop, csv_of, line

HEADER = "event_id,event_at,event_type,country,known_at,deleted"
CURRENT = "select event_id, country from raw.events where superseded_at is null and not deleted order by 1"


def version(event_id: str, day: int, country: str, known_day: int | str, deleted: str = "") -> str:
    known = f"2024-02-{known_day:02}" if isinstance(known_day, int) else known_day
    return f"{event_id},2024-01-{day:02} 10:00:00,view,{country},{known},{deleted}"


def history(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.query(
        "select event_id, country, cast(known_at as date)::varchar, cast(superseded_at as date)::varchar "
        "from raw.events order by event_id, event_at, known_at"
    )


def test_versions_follow_known_at_not_the_order_of_rows(shop: Shop) -> None:
    lines = [version("e1", 5, "NL", 9), version("e1", 5, "DE", 7), version("e1", 5, "FR", 8)]
    shop.write("events.csv", csv_of(*lines, header=HEADER))
    shop.ingest()
    assert history(shop) == [
        ("e1", "DE", "2024-02-07", "2024-02-08"),
        ("e1", "FR", "2024-02-08", "2024-02-09"),
        ("e1", "NL", "2024-02-09", None),
    ]


def test_an_event_that_goes_back_has_three_versions_and_an_equal_successor_none(shop: Shop) -> None:
    states = [("DE", 1), ("DE", 2), ("NL", 3), ("NL", 4), ("DE", 5), ("DE", 6)]
    for number, (country, known) in enumerate(reversed(states)):
        shop.write(f"events_{number}.csv", csv_of(version("e1", 5, country, known), header=HEADER))
    shop.ingest()
    assert history(shop) == [
        ("e1", "DE", "2024-02-01", "2024-02-03"),
        ("e1", "NL", "2024-02-03", "2024-02-05"),
        ("e1", "DE", "2024-02-05", None),
    ]
    assert shop.counts() == (6, 3, 0, 3)


def test_at_one_known_at_the_last_delivery_decides(make_shop: Callable[..., Shop]) -> None:
    found = []
    for name, countries in (("one", "DE FR NL"), ("two", "NL DE FR"), ("three", "FR NL DE")):
        shop = make_shop(name)
        for number, country in enumerate(countries.split()):
            shop.write(f"events_{number}.csv", csv_of(version("e1", 5, country, 7), header=HEADER))
        shop.ingest()
        assert shop.query("select count(*) from raw.events where superseded_at is null") == [(1,)]
        found.append(shop.query(CURRENT))
    assert found == [[("e1", "NL")], [("e1", "FR")], [("e1", "DE")]]


def test_a_deleted_row_ends_an_event_and_a_moved_one_needs_it_on_the_old_day(shop: Shop) -> None:
    shop.write("events_1.csv", csv_of(version("e1", 5, "DE", 1), version("e2", 5, "DE", 1), header=HEADER))
    shop.ingest()
    moved = [version("e2", 5, "", 2, "true"), version("e2", 6, "DE", 2), version("e1", 5, "", 2, "true")]
    shop.write("events_2.csv", csv_of(*moved, header=HEADER))
    shop.ingest(LATER)
    assert shop.query(CURRENT) == [("e2", "DE")]
    current = "select event_at::date::varchar from raw.events where superseded_at is null and not deleted"
    assert shop.query(current) == [("2024-01-06",)]
    moment = "timestamp '2024-02-01'"
    as_known = f"known_at <= {moment} and (superseded_at is null or superseded_at > {moment}) and not deleted"
    before = f"select event_id, event_at::date::varchar from raw.events where {as_known} order by 1"
    assert shop.query(before) == [("e1", "2024-01-05"), ("e2", "2024-01-05")]


def test_absence_deletes_nothing(shop: Shop) -> None:
    shop.write("events_1.csv", csv_of(line("e1"), line("e2")))
    shop.ingest()
    shop.write("events_2.csv", csv_of(line("e2")))
    shop.ingest(LATER)
    assert shop.query("select event_id from raw.events where superseded_at is null order by 1") == [
        ("e1",),
        ("e2",),
    ]


def test_a_first_load_is_known_at_the_event_a_later_one_when_it_was_loaded(shop: Shop) -> None:
    shop.write("events_1.csv", csv_of(line("e1"), line("e2")))
    shop.ingest(FIRST)
    shop.write(
        "events_2.csv", csv_of(line("e1"), line("e2", quantity="9"), line("late", "2024-01-02 08:00:00"))
    )
    shop.ingest(LATER)
    found = shop.query(
        "select event_id, quantity, known_at::varchar, superseded_at::varchar from raw.events order by 1, 3"
    )
    assert found == [
        ("e1", 2, "2024-01-05 10:00:00", None),
        ("e2", 2, "2024-01-05 10:00:00", str(LATER)),
        ("e2", 9, str(LATER), None),
        ("late", 2, str(LATER), None),
    ]


def test_a_late_delivery_rebuilds_the_days_it_touches_and_no_others(shop: Shop) -> None:
    shop.write("events_1.csv", csv_of(*(line(f"e{n}", f"2024-01-{n:02} 10:00:00") for n in range(1, 29))))
    shop.ingest()
    before = dict(shop.query("select partition_key, version from raw.builds where relation = 'raw.events'"))
    shop.write(
        "events_2.csv", csv_of(line("late", "2024-01-03 08:00:00"), line("e20", "2024-01-20 10:00:00"))
    )
    shop.land(LATER)
    assert shop.pending() == ["2024-01-03", "2024-01-20"]
    shop.load()
    after = dict(shop.query("select partition_key, version from raw.builds where relation = 'raw.events'"))
    # The 20th was looked at again and is what it was.
    assert [day for day in before if before[day] != after[day]] == ["2024-01-03"]


def test_a_day_without_rows_is_loaded_and_empty(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1"), line("e2", "2024-01-07 00:00:00")))
    shop.ingest()
    days = shop.query(
        "select partition_key, row_count from raw.builds where relation = 'raw.events' "
        "and partition_key between '2024-01-05' and '2024-01-07' order by 1"
    )
    assert days == [("2024-01-05", 1), ("2024-01-06", 0), ("2024-01-07", 1)]


def test_midnight_belongs_to_the_day_that_begins_and_dates_to_their_own_side(shop: Shop) -> None:
    instants = {
        "first": "2024-01-01 00:00:00",
        "before": "2023-12-31 23:59:59.999999",
        "midnight": "2024-01-05",
        "last": "2024-02-29 23:59:59.999999",
        "end": "2024-03-01 00:00:00",
        "24h": "2024-01-06 24:00:00",
    }
    shop.write("events.csv", csv_of(*(line(name, at) for name, at in instants.items())))
    shop.ingest()
    found = shop.query("select event_id, event_at::date::varchar from raw.events order by 2")
    assert found == [
        ("first", "2024-01-01"),
        ("midnight", "2024-01-05"),
        ("24h", "2024-01-07"),
        ("last", "2024-02-29"),
    ]
    for event_id, day in found:
        shop.load(keys=[day])
        assert shop.query(f"select count(*) from raw.events where event_id = '{event_id}'") == [(1,)]
    outside = shop.query("select source_columns ->> 'event_id', reason from raw.rejects order by 1")
    assert outside == [("before", "outside_dates"), ("end", "outside_dates")]


def test_an_open_shop_takes_rows_until_the_day_they_were_delivered(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(end_date=None)
    shop.write(
        "events_1.csv", csv_of(line("today", "2024-02-01 23:00:00"), line("future", "2024-02-02 08:00:00"))
    )
    shop.ingest(FIRST)
    shop.write("events_2.csv", csv_of(line("now", "2024-02-02 08:00:00")))
    shop.ingest(LATER)
    assert shop.query("select event_id from raw.events order by 1") == [("now",), ("today",)]
    assert shop.reasons() == {"outside_dates": 1}


def test_other_dates_of_a_shop_move_rows_between_accepted_and_rejected(
    make_shop: Callable[..., Shop],
) -> None:
    shop = make_shop()
    shop.write("events.csv", csv_of(*(line(f"e{n}", f"2024-01-{n:02} 10:00:00") for n in range(1, 21))))
    shop.ingest()
    narrow = make_shop(start_date="2024-01-10", end_date="2024-01-15")
    narrow.connection, narrow.raw = shop.connection, shop.raw
    narrow.ingest()
    assert narrow.counts() == (20, 5, 15, 0)
    assert narrow.query("select count(*) from raw.builds where relation = 'raw.events'") == [(7,)]
    shop.ingest()
    assert shop.counts() == (20, 20, 0, 0)


def test_days_hold_what_their_condition_says() -> None:
    days, outside = (
        Days(date(2024, 1, 2), date(2024, 1, 4)),
        Days(date(2024, 1, 2), date(2024, 1, 4), undated=True),
    )
    for day, inside in [
        (date(2024, 1, 1), False),
        (date(2024, 1, 2), True),
        (date(2024, 1, 4), False),
        (None, False),
    ]:
        assert days.contains(day) is inside
        assert outside.contains(day) is not inside


# ----------------------------------------------------------- against an independent implementation

COLUMNS = ["event_id", "event_at", "event_type", "quantity", "unit_price", "order_id", "known_at", "deleted"]
DAYS = ["2024-01-02", "2024-01-03", "2024-01-09"]

rows = st.fixed_dictionaries(
    {
        "event_id": st.sampled_from(["a", "b", ""]),
        "event_at": st.sampled_from(
            [f"{d} 00:00:00" for d in DAYS] + [f"{DAYS[0]} 23:59:59", "2025-01-01", "?"]
        ),
        "event_type": st.sampled_from(["view", "view", "charge", "nonsense"]),
        "quantity": st.sampled_from(["1", "2", "0", "x", ""]),
        "unit_price": st.sampled_from(["1.5", "-1"]),
        "order_id": st.sampled_from(["", "o'1", 'o"2']),
        "known_at": st.sampled_from(
            ["2024-03-01 00:00:00", "2024-03-02 00:00:00", "2024-03-03 12:00:00", "x"]
        ),
        "deleted": st.sampled_from(["", "true"]),
    }
)
Row = dict[str, str]


def reason_of(row: Row) -> str | None:
    """DESIGN.md's contract of events for the values above, in its order."""
    if row["event_id"] == "":
        return "no_event_id"
    if row["event_at"] == "?":
        return "unreadable_event_at"
    if row["event_at"] == "2025-01-01":
        return "outside_dates"
    deleted = row["deleted"] == "true"
    if not deleted and row["event_type"] == "nonsense":
        return "unknown_event_type"
    if not deleted and row["event_type"] == "charge":
        if row["quantity"] in ("0", "x", ""):
            return "bad_quantity"
        if row["unit_price"] == "-1":
            return "bad_unit_price"
    if row["quantity"] == "x":
        return "unreadable_quantity"
    return "unreadable_known_at" if row["known_at"] == "x" else None


def stored(row: Row) -> dict[str, str | None]:
    """A row as the table shows it, as text."""
    value: dict[str, str | None] = {name: text or None for name, text in row.items()}
    value["unit_price"] = f"{Decimal(row['unit_price']):.10f}"
    value["quantity"] = f"{Decimal(row['quantity']):.4f}" if row["quantity"] else None
    value["exchange_rate"] = "1.00000000"
    if row["event_type"] == "charge" and row["quantity"]:
        value["line_amount"] = f"{Decimal(row['quantity']) * Decimal(row['unit_price']):.4f}"
    value["deleted"] = "true" if row["deleted"] else "false"
    return value


def hash_of(row: Row, contract: ContractTable) -> str:
    values = {**dict.fromkeys(contract.columns), **stored(row)}
    ordered = [values[name] for name in (*contract.columns, "deleted")]
    return hashlib.md5("\x1f".join("\x1e" if v is None else v for v in ordered).encode()).hexdigest()


def conflicting(content: list[Row], contract: ContractTable) -> set[int]:
    """The numbers of the rows of a delivery that claim a key at one known_at with different contents."""
    groups: dict[tuple[str, ...], list[tuple[int, str]]] = defaultdict(list)
    for number, row in enumerate(content, 1):
        if reason_of(row) is None and not row["deleted"]:
            claim = (row["event_id"], row["known_at"])
            groups[claim].append((number, hash_of(row, contract)))
    return {n for rows in groups.values() if len({h for _, h in rows}) > 1 for n, _ in rows}


def reference(
    deliveries: dict[str, list[Row]], contract: ContractTable
) -> tuple[list[Any], list[Any], list[Any]]:
    """Versions, rejects and ledger of whole deliveries, row by row. deliveries: in the order of their landing."""
    keys: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    rejects: dict[tuple[Any, ...], tuple[str, int]] = {}
    ledger: dict[tuple[str, str | None], list[int]] = defaultdict(lambda: [0, 0, 0])
    ranks = {delivery: rank for rank, delivery in enumerate(deliveries)}
    for delivery, content in sorted(deliveries.items()):
        conflicts = conflicting(content, contract)
        for number, row in enumerate(content, 1):
            day = None if row["event_at"] == "?" else row["event_at"][:10]
            ledger[delivery, day][0] += 1
            reason = reason_of(row) or ("conflicting_rows" if number in conflicts else None)
            if reason is None:
                order = (row["known_at"], ranks[delivery], not row["deleted"], row["event_at"])
                keys[row["event_id"]].append((*order, hash_of(row, contract), number, delivery, row))
                continue
            said = (day, reason, tuple(v for k, v in row.items() if k != "known_at"))
            if said not in rejects:
                rejects[said] = (delivery, number)
                ledger[delivery, day][2] += 1
    versions = []
    for chain in keys.values():
        ordered = sorted(chain, key=lambda v: v[:6])
        kept = [v for n, v in enumerate(ordered) if n == 0 or ordered[n - 1][4] != v[4]]
        for n, (*_, delivery, row) in enumerate(kept):
            ledger[delivery, row["event_at"][:10]][1] += 1
            value = stored(row)
            after = kept[n + 1][0] if n + 1 < len(kept) else None
            versions.append((*(value[name] for name in COLUMNS), after, delivery))
    ledger_rows = [(k[0], k[1], n, a, r, n - a - r) for k, (n, a, r) in ledger.items()]
    reject_rows = [(d, said[0], said[1], number) for said, (d, number) in rejects.items()]
    return versions, reject_rows, ledger_rows


def state(shop: Shop) -> tuple[list[Any], list[Any], list[Any]]:
    columns = ", ".join(f"cast({name} as varchar)" for name in [*COLUMNS, "superseded_at", "delivery_id"])
    return (
        shop.query(f"select {columns} from raw.events"),
        shop.query("select delivery_id, event_date::varchar, reason, source_row from raw.rejects"),
        shop.query(
            "select delivery_id, event_date::varchar, delivered::int, accepted::int, rejected::int, "
            "duplicate::int from raw.deliveries"
        ),
    )


def test_any_order_and_any_ranges_give_what_the_rules_say(
    sql_project: Project, contract: dict[str, ContractTable]
) -> None:
    @settings(max_examples=10, deadline=None, derandomize=True, report_multiple_bugs=False)
    @given(
        deliveries=st.lists(st.lists(rows, min_size=1, max_size=8), min_size=1, max_size=4),
        chance=st.randoms(use_true_random=False),
    )
    def check(deliveries: list[list[Row]], chance: random.Random) -> None:
        with TemporaryDirectory() as folder:
            shops = [
                Shop(Path(folder) / name, sql_project, contract, end_date="2024-01-10")
                for name in ("whole", "pieces")
            ]
            try:
                whole_and_pieces_agree(shops[0], shops[1], deliveries, chance)
            finally:
                for shop in shops:
                    shop.raw.close()

    check()


def whole_and_pieces_agree(
    whole: Shop, pieces: Shop, deliveries: list[list[Row]], chance: random.Random
) -> None:
    # Most values of a column can be read: a file of which they cannot is refused whole.
    anchor = {
        "event_id": "anchor",
        "event_at": f"{DAYS[0]} 12:00:00",
        "event_type": "view",
        "quantity": "1",
        "unit_price": "1.5",
        "order_id": "",
        "known_at": "2024-03-01 00:00:00",
        "deleted": "",
    }
    files: dict[str, str] = {}
    contents: dict[str, list[Row]] = {}
    for content in deliveries:
        all_rows = [anchor] * (2 * len(content)) + content
        lines = [",".join(quoted(row[name]) for name in COLUMNS) for row in all_rows]
        text = csv_of(*lines, header=",".join(COLUMNS))
        delivery = hashlib.sha256(text.encode()).hexdigest()[:16]
        files[delivery], contents[delivery] = text, all_rows
    for number, text in enumerate(files.values()):
        whole.write(f"events_{number}.csv", text)
    whole.ingest(FIRST)
    moments = sorted(chance.choice([FIRST, LATER, LATEST]) for _ in files)
    for number, (text, moment) in enumerate(zip(files.values(), moments, strict=True)):
        pieces.write(f"events_{number}.csv", text)
        pieces.land(moment)
        keys = pieces.all_keys()[:-1]
        start = chance.randrange(len(keys))
        pieces.load(keys=keys[start : start + chance.randrange(1, len(keys))])
    pieces.load()
    expected = reference(contents, whole.contract["events"])
    for shop in (whole, pieces):
        for found, wanted in zip(state(shop), expected, strict=True):
            assert sorted(found, key=repr) == sorted(wanted, key=repr)
    assert pieces.table("raw.events") == whole.table("raw.events")
    assert pieces.table("raw.rejects", "source_file") == whole.table("raw.rejects", "source_file")
    left_out = "source_file, landed_at"
    assert pieces.table("raw.deliveries", left_out) == whole.table("raw.deliveries", left_out)
    versions = "select partition_key, version from raw.builds where relation = 'raw.events' order by 1"
    assert pieces.query(versions) == whole.query(versions)


def quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if '"' in value else value


@pytest.mark.parametrize("workers", [1, 4])
def test_threads_do_not_matter(make_shop: Callable[..., Shop], workers: int) -> None:
    found = []
    for name in ("one", "two"):
        shop = make_shop(name)
        shop.query(f"set threads = {workers if name == 'one' else 2}")
        lines = [version(f"e{n % 50}", 1 + n % 7, ["DE", "NL", "FR"][n % 3], 1 + n % 5) for n in range(2000)]
        shop.write("events.csv", csv_of(*lines, header=HEADER))
        shop.ingest()
        found.append([shop.table("raw.events"), shop.table("raw.rejects")])
    assert found[0] == found[1]
