"""Two Parquet files are compared as multisets of rows; each kind of difference is found and named."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import hypothesis
import pytest
from hypothesis import strategies

from clm_dagster.engines.comparing import CLOSE, DIFFERENT, EQUAL, Comparison, compare
from clm_dagster.platform.warehouse import Connection

ROWS = """
    select
        customer_id, day, seen_at, cast(amount as decimal(18, 4)) as amount, cast(share as double) as share,
        cast(orders as bigint) as orders, tier
    from (
        values
        ('c1', date '2024-01-01', timestamp '2024-01-01 10:00:00.000001', 10.0, 0.1, 3, 'gold'),
        ('c1', date '2024-01-01', timestamp '2024-01-01 10:00:00.000001', 10.0, 0.1, 3, 'gold'),
        ('c2', date '2024-01-02', null, 20.5, null, 4, 'Gold'),
        (null, null, timestamp '2024-01-03 00:00:00', null, 0.3, null, null)
    ) as t (customer_id, day, seen_at, amount, share, orders, tier)
"""
Write = Callable[[str], Path]


@pytest.fixture
def connection() -> Iterator[Connection]:
    """A database without a file."""
    with duckdb.connect() as raw:
        yield Connection(raw)


@pytest.fixture
def write(tmp_path: Path, connection: Connection) -> Write:
    """Write the rows of a query to a Parquet file."""

    def write(query: str) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
        connection.execute(f"copy ({query}) to '{path}' (format parquet)")
        return path

    return write


@pytest.fixture
def compared(connection: Connection, write: Write) -> Callable[..., Comparison]:
    """Compare the rows of a query with those of ROWS."""
    return lambda query, **options: compare(connection, write(ROWS), write(query), **options)


def test_the_order_of_rows_does_not_matter(compared: Callable[..., Comparison]) -> None:
    found = compared(f"select * from ({ROWS}) order by orders desc")
    assert found == Comparison(4, 4)
    assert found.verdict == EQUAL


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        (
            "* replace (case when tier = 'Gold' then 20.5001::decimal(18, 4) else amount end as amount)",
            ("amount",),
        ),
        ("* replace (seen_at + interval 1 microsecond as seen_at)", ("seen_at",)),
        ("* replace (lower(tier) as tier)", ("tier",)),
        ("* replace (tier || ' ' as tier)", ("tier",)),
        ("* replace (coalesce(orders, 0) as orders)", ("orders",)),
        ("* replace (nullif(orders, 4) as orders)", ("orders",)),
        ("* replace (share + 1e-11 as share)", ("share",)),
        ("* replace (coalesce(share, 'nan') as share)", ("share",)),
    ],
)
def test_a_changed_value_is_found_with_its_column(
    compared: Callable[..., Comparison], change: str, columns: tuple[str, ...]
) -> None:
    found = compared(f"select {change} from ({ROWS})")
    assert found.verdict == DIFFERENT
    assert found.missing == found.added > 0
    assert found.differing == columns


def test_nulls_are_counted(compared: Callable[..., Comparison]) -> None:
    found = compared(
        f"select * replace (coalesce(orders, 0) as orders, nullif(day, '2024-01-02') as day) from ({ROWS})"
    )
    assert found.nulls == {"orders": (1, 0), "day": (1, 2)}


@pytest.mark.parametrize(
    ("query", "missing", "added"),
    [
        (f"{ROWS} union all select * from ({ROWS}) where tier = 'Gold'", 0, 1),
        (f"select distinct * from ({ROWS})", 1, 0),
        (f"select * from ({ROWS}) where false", 4, 0),
    ],
)
def test_a_row_that_occurs_more_or_less_often_is_found(
    compared: Callable[..., Comparison], query: str, missing: int, added: int
) -> None:
    found = compared(query)
    assert (found.missing, found.added, found.differing) == (missing, added, ())


def test_values_that_are_swapped_between_rows_are_found(connection: Connection, write: Write) -> None:
    ours = write("select * from (values (1, 'a'), (2, 'b')) as t (number, name)")
    theirs = write("select * from (values (1, 'b'), (2, 'a')) as t (number, name)")
    found = compare(connection, ours, theirs)
    assert (found.missing, found.added, found.differing) == (2, 2, ())


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (
            f"select * replace (cast(orders as integer) as orders) from ({ROWS})",
            "orders is INTEGER, expected BIGINT",
        ),
        (
            f"select * replace (cast(amount as decimal(18, 2)) as amount) from ({ROWS})",
            "amount is DECIMAL(18,2), expected DECIMAL(18,4)",
        ),
        (f"select * exclude (tier) from ({ROWS})", "tier is missing"),
        (f"select *, 1 as more from ({ROWS})", "more is added"),
    ],
)
def test_other_columns_are_a_difference_though_values_are_equal(
    compared: Callable[..., Comparison], query: str, text: str
) -> None:
    found = compared(query)
    assert (found.verdict, found.columns, found.missing, found.added) == (DIFFERENT, (text,), 0, 0)


def test_the_order_of_columns_matters_unless_it_is_left_out(compared: Callable[..., Comparison]) -> None:
    query = f"select tier, * exclude (tier) from ({ROWS})"
    assert "the order of columns is tier, customer_id" in compared(query).columns[0]
    assert compared(query, ordered=False).verdict == EQUAL


def test_doubles_that_differ_in_the_last_places_are_close_and_counted(
    compared: Callable[..., Comparison],
) -> None:
    found = compared(f"select * replace (share * (1 + 1e-15) as share) from ({ROWS})")
    assert (found.verdict, found.close, found.missing, found.added) == (CLOSE, 3, 0, 0)
    assert 0 < found.gap < 1e-14


def test_a_close_double_does_not_hide_another_difference(compared: Callable[..., Comparison]) -> None:
    found = compared(
        f"select * replace (share * (1 + 1e-15) as share, case when tier = 'Gold' then 5 else orders end as orders) "
        f"from ({ROWS})"
    )
    assert (found.verdict, found.close, found.missing, found.differing) == (DIFFERENT, 3, 1, ("orders",))


def test_a_decimal_is_never_close(connection: Connection, write: Write) -> None:
    ours, theirs = ("123456789012.0000000001", "123456789012.0000000002")
    paths = [
        write(f"select {value}::decimal(38, 10) as amount, 0.5::double as share") for value in (ours, theirs)
    ]
    assert compare(connection, paths[0], paths[1]).verdict == DIFFERENT


def test_lists_and_structs_are_values(connection: Connection, write: Write) -> None:
    rows = (
        "select ['a', null] as names, {{'id': 1, 'at': date '2024-01-01'}} as facts, [{{'x': {x}}}] as parts"
    )
    paths = [write(rows.format(x=x)) for x in (1, 1, 2)]
    assert compare(connection, paths[0], paths[1]).verdict == EQUAL
    assert compare(connection, paths[0], paths[2]).differing == ("parts",)


def test_a_part_of_the_reference_can_be_meant(connection: Connection, write: Write) -> None:
    one = write(f"select * from ({ROWS}) where day = '2024-01-02'")
    assert compare(connection, write(ROWS), one).missing == 3
    assert compare(connection, write(ROWS), one, where="day = date '2024-01-02'").verdict == EQUAL


def test_examples_have_no_ids_and_no_texts_of_persons(compared: Callable[..., Comparison]) -> None:
    found = compared(f"select * replace ('x' || customer_id as customer_id, 'secret' as tier) from ({ROWS})")
    assert found.differing == ("customer_id", "tier")
    assert len(found.examples) == 6
    assert not [e for e in found.examples if {"customer_id", "tier"} & set(e)]
    assert "secret" not in str(found) and "xc1" not in str(found)
    hidden = compared(f"select * replace (orders + 1 as orders) from ({ROWS})", hidden={"orders"})
    assert not [e for e in hidden.examples if "orders" in e]


def test_examples_show_both_sides_of_the_columns_that_differ(compared: Callable[..., Comparison]) -> None:
    found = compared(
        f"select * replace (case when tier = 'Gold' then 9 else orders end as orders) from ({ROWS})",
        shown={"tier"},
    )
    assert [(e["row"], e["only_in_reference"], e["orders"]) for e in found.examples] == [
        (1, True, 4),
        (1, False, 9),
    ]


VALUES = strategies.tuples(
    strategies.sampled_from(["a", "A", None]), strategies.integers(0, 2) | strategies.none()
)


@hypothesis.given(strategies.lists(VALUES, max_size=8), strategies.lists(VALUES, max_size=8))
@hypothesis.settings(max_examples=25, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_any_rows_are_compared_as_a_counter_compares_them(
    connection: Connection, tmp_path: Path, ours: list[Any], theirs: list[Any]
) -> None:
    paths = [tmp_path / f"{number}.parquet" for number in range(2)]
    for path, rows in zip(paths, (ours, theirs), strict=True):
        connection.execute(
            "create or replace table sample as select unnest(?::varchar[]) as name, unnest(?::integer[]) as amount",
            [[name for name, _ in rows], [amount for _, amount in rows]],
        )
        connection.execute(f"copy sample to '{path}' (format parquet)")
    found = compare(connection, paths[0], paths[1])
    expected = Counter(ours), Counter(theirs)
    assert found.missing == (expected[0] - expected[1]).total()
    assert found.added == (expected[1] - expected[0]).total()
    assert (found.verdict == EQUAL) == (expected[0] == expected[1])
