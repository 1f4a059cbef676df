"""Reading adapters, and the SQL that they are written with."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from clm_dagster.domains.ingest.adapter import load_adapter
from clm_dagster.domains.ingest.contract import ContractTable
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.values import instant, whole_number
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.settings import PROJECT_DIR
from clm_dagster_tests.domains.ingest.shop import Shop, csv_of

EVENTS_SQL = "select {{ provenance() }}, {{ contract_columns() }} from {{ landed() }}"
YAML = """
tables:
  events:
    files: ["*.csv"]
    time: "{{ instant('event_at') }}"
    required: [event_id, event_at, event_type]
"""


def read(value: str, zone: str = "Europe/Berlin") -> str | None:
    with duckdb.connect() as connection:
        sql = f"select cast({instant('x', zone)} as varchar) from (select ? as x)"
        rows = connection.execute(sql, [value]).fetchall()
    instant_read: str | None = rows[0][0]
    return instant_read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-05 10:11:12", "2024-01-05 10:11:12"),
        (" 2024-01-05T10:11:12.5 ", "2024-01-05 10:11:12.5"),
        ("2024-01-05", "2024-01-05 00:00:00"),
        ("2024-1-5 8:05", "2024-01-05 08:05:00"),
        ("2024-01-05 24:00:00", "2024-01-06 00:00:00"),
        # With an offset or a zone: moved to the shop's own, over midnight and into summer time.
        ("2024-01-05T23:30:00Z", "2024-01-06 00:30:00"),
        ("2024-07-05T23:30:00Z", "2024-07-06 01:30:00"),
        ("2024-01-05 10:00:00+05:30", "2024-01-05 05:30:00"),
        ("2024-01-05 10:00:00+02", "2024-01-05 09:00:00"),
        ("2024-01-05 10:00:00-0500", "2024-01-05 16:00:00"),
        ("2024-01-05 10:00:00 UTC", "2024-01-05 11:00:00"),
        ("2024-01-05 10:00:00 America/New_York", "2024-01-05 16:00:00"),
        # An hour that summer time leaves out, and one that it has twice, are taken as they are written.
        ("2024-03-31 02:30:00", "2024-03-31 02:30:00"),
        ("2024-10-27 02:30:00", "2024-10-27 02:30:00"),
        ("epoch", "1970-01-01 00:00:00"),
        ("9999-12-31 23:59:59", "9999-12-31 23:59:59"),
    ],
)
def test_instants_that_can_be_read(text: str, expected: str) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "infinity",
        "-infinity",
        "2024-02-30",
        "2024-13-01",
        "2024-01-05 25:00:00",
        "05.01.2024",
        "20240-01-05",
        "0044-03-15 (BC)",
        "2024-01-05 10:00 Atlantis/City",
        "now",
        "today",
        "01/05/2024",
        "2024-01-05 10:00 PM",
        "2024-01-05T10:00:00z",
    ],
)
def test_what_is_no_instant(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", 3),
        (" -4 ", -4),
        ("5.0", 5),
        ("5.00", 5),
        ("2.5", None),
        ("0.4", None),
        ("x", None),
        ("", None),
        ("0x10", None),
        ("99999999999999999999", None),
        ("1,000", None),
        ("nan", None),
    ],
)
def test_whole_numbers_are_never_rounded(text: str, expected: int | None) -> None:
    with duckdb.connect() as connection:
        assert connection.execute(f"select {whole_number('x')} from (select ? as x)", [text]).fetchall() == [
            (expected,)
        ]


@pytest.fixture
def sql_dir(tmp_path: Path) -> Path:
    """A copy of the SQL project with an adapter `mine` to write."""
    copy = tmp_path / "sql"
    shutil.copytree(
        PROJECT_DIR / "dbt_like_sql", copy, ignore=shutil.ignore_patterns("target", "dbt_packages")
    )
    (copy / "adapters" / "mine").mkdir()
    return copy


@pytest.fixture
def my_shop(sql_dir: Path, make_shop: Callable[..., Shop]) -> Callable[..., Shop]:
    """Make a shop with an adapter that is given as YAML and SQL."""

    def make(adapter: str = YAML, sql: str = EVENTS_SQL) -> Shop:
        (sql_dir / "adapters" / "mine" / "adapter.yml").write_text(adapter)
        (sql_dir / "adapters" / "mine" / "events.sql").write_text(sql)
        return make_shop(source="mine", sql_dir=sql_dir)

    return make


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (
            "tables:\n  events:\n    time: x\n    file: [a]\n",
            r"adapter.yml:4: .*unknown key 'file'; known keys: columns",
        ),
        ("colour: red\ntables: {}\n", r"adapter.yml:1: .*unknown key 'colour'"),
        ("tables:\n  orders: {}\n", r"adapter.yml:2: .*no table 'orders'; it has .*events"),
        ("tables:\n  events: {}\n", r"events requires `time`, SQL for event_at"),
        (
            "tables:\n  reviews:\n    time: x\n",
            r"reviews.sql does not exist, but adapter.yml contains the table reviews",
        ),
        ("tables: {}\n", r"adapter.yml: the table events is required"),
        (
            "csv: {encoding: ebcdic}\n" + YAML,
            r"adapter.yml:1: Python knows no encoding 'ebcdic'; expected a name such as utf-8",
        ),
        ("dates: dmy\n" + YAML, r"adapter.yml:1: dates is 'dmy'; expected day_first or month_first"),
        ("csv: {separator: x}\n" + YAML, r"adapter.yml:1: .*unknown key 'separator'; known keys: delimiter"),
        ("name: mine\n", r"adapter.yml: the key `tables` is missing"),
        (
            "csv: {delimiter: '||'}\n" + YAML,
            r"adapter.yml:1: csv.delimiter is '\|\|'; expected one character",
        ),
    ],
)
def test_a_wrong_adapter_is_refused_with_file_and_line(
    my_shop: Callable[..., Shop], adapter: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        my_shop(adapter)


def test_delimiter_quote_and_encoding_are_the_adapters(my_shop: Callable[..., Shop]) -> None:
    shop = my_shop("csv: {delimiter: ';', quote: \"'\", encoding: latin-1}\n" + YAML)
    text = "event_id;event_at;event_type;country\r\n'e;1';2024-01-05;view;M\xfcnchen\r\n"
    shop.write("a.csv", text.encode("latin-1"))
    shop.ingest()
    assert shop.query("select event_id, country from raw.events") == [("e;1", "München")]


def test_latin_1_with_a_euro_sign_is_windows_1252_and_said(my_shop: Callable[..., Shop]) -> None:
    shop = my_shop("csv: {encoding: latin-1}\n" + YAML)
    text = "event_id,event_at,event_type,description\ne1,2024-01-05,view,Café 5€ “mug”\n"
    shop.write("a.csv", text.encode("cp1252"))
    (delivery,) = shop.land().new
    assert "read as cp1252" in delivery.decided["encoding_note"]
    shop.load()
    assert shop.query("select description from raw.events") == [("Café 5€ “mug”",)]


def test_utf_16_is_read(my_shop: Callable[..., Shop]) -> None:
    shop = my_shop("csv: {encoding: utf-16}\n" + YAML)
    shop.write("a.csv", "event_id,event_at,event_type,country\ne1,2024-01-05,view,Köln\n".encode("utf-16"))
    shop.ingest()
    assert shop.query("select event_id, country from raw.events") == [("e1", "Köln")]


def test_a_reason_that_is_not_described_is_refused(my_shop: Callable[..., Shop]) -> None:
    shop = my_shop(sql=EVENTS_SQL.replace(" from", ", 'because' as reject_reason from"))
    shop.write("a.csv", "event_id,event_at,event_type\ne1,2024-01-05,view\n")
    shop.land()
    with pytest.raises(
        InputError, match=r"events\.sql uses the reject reason 'because', but `rejects` does not describe"
    ):
        shop.load()
    assert shop.query("select count(*) from raw.deliveries") == [(0,)]


def test_another_instant_in_the_sql_than_in_the_yaml_is_refused(my_shop: Callable[..., Shop]) -> None:
    columns = "event_id, event_type, timestamp '2024-01-06' as event_at"
    shop = my_shop(sql=EVENTS_SQL.replace("{{ contract_columns() }}", columns))
    shop.write("a.csv", "event_id,event_at,event_type\ne1,2024-01-05,view\n")
    shop.land()
    message = r"assigns row 1 of a\.csv to 2024-01-05, but events\.sql returns event_at 2024-01-06"
    with pytest.raises(InputError, match=message):
        shop.load()


def test_other_rules_load_again_and_another_time_lands_again(
    my_shop: Callable[..., Shop], make_shop: Callable[..., Shop]
) -> None:
    shop = my_shop()
    shop.write("a.csv", "event_id,event_at,event_type,at\ne1,2024-01-05,view,2024-01-07\n")
    shop.ingest()
    changed = my_shop(sql=EVENTS_SQL.replace(" from", ", 'ZZ' as currency from"))
    changed.connection = shop.connection
    assert changed.land().new == []
    assert "2024-01-05" in changed.pending()
    changed.load()
    assert changed.query("select currency from raw.events") == [("ZZ",)]
    moved = my_shop(
        YAML.replace("instant('event_at')", "instant('at')"),
        "select {{ provenance() }}, event_id, event_type, {{ time() }} as event_at from {{ landed() }}",
    )
    moved.connection = shop.connection
    assert [list(d.tables["events"].days) for d in moved.land().new] == [["2024-01-07"]]
    moved.load()
    assert moved.query("select event_id, event_at::date::varchar, known_at = event_at from raw.events") == [
        ("e1", "2024-01-07", True)
    ]
    assert moved.counts() == (1, 1, 0, 0)


def test_versions_of_an_adapter_follow_what_matters(
    contract: dict[str, ContractTable], sql_project: Project
) -> None:
    folder = PROJECT_DIR / "dbt_like_sql" / "adapters" / "generic"
    one, same, other = (
        load_adapter(folder, contract, sql_project.renderer, zone)
        for zone in ("Europe/London", "Europe/London", "Asia/Tokyo")
    )
    assert one.landing_version("events") == same.landing_version("events") != other.landing_version("events")
    assert one.code_version("events") == same.code_version("events") != other.code_version("events")


def test_columns_of_any_name_reach_the_adapter_and_the_rejects(my_shop: Callable[..., Shop]) -> None:
    header = 'event_id,event_at,event_type,"it\'s ""x""",a/b~c,Größe [cm],,country'
    shop = my_shop(
        sql=EVENTS_SQL.replace("{{ contract_columns() }}", '{{ contract_columns() }}, "a/b~c" as description')
    )
    shop.write("a.csv", csv_of("e1,2024-01-05,view,1,2,3,4,DE", "e2,2024-01-05,?,5,6,7,8,DE", header=header))
    shop.ingest()
    assert shop.query("select event_id, description from raw.events") == [("e1", "2")]
    (content,) = shop.query("select source_columns from raw.rejects")[0]
    found = json.loads(content)
    assert [found[key] for key in ('it\'s "x"', "Größe [cm]", "column7")] == ["5", "7", "8"]
