"""Rendering and building: the SQL of a model, and its rows after a build."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest

from clm_dagster.platform.dbt_project.building import (
    Batch,
    Snapshot,
    build,
    compile_model,
    failing_rows,
    materialize,
)
from clm_dagster.platform.dbt_project.project import Project, load_project
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.warehouse import Connection
from clm_dagster_tests.sql.fixtures import DBT_PROJECT, Raw, only, read_rows

Folder = Callable[[dict[str, str]], Path]
SOURCES = """\
sources:
  - name: raw
    tables:
      - {name: clicks, config: {event_time: clicked_at}}
      - {name: pages}
"""
DAILY = """\
{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='day', batch_size='day',
    begin=var('start_date')) }}
select cast(c.clicked_at as date) as day, count(*) as clicks,
    (select count(*) from {{ source('raw', 'pages') }}) as pages
from {{ ref('stg_clicks') }} as c group by 1
"""
STATE = """\
{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='as_of') }}
select cast('{{ var("as_of") }}' as timestamp) as as_of, sum(clicks)::bigint as clicks from {{ ref('daily') }}
where day < cast('{{ var("as_of") }}' as date)
"""
CLICKS = pd.DataFrame(
    {"clicked_at": pd.to_datetime(["2024-01-01 09:00", "2024-01-02 00:00", "2024-01-02 23:59"])}
)
INPUTS = {"raw.clicks": CLICKS, "raw.pages": pd.DataFrame({"page": ["home", "shelf"]})}


@pytest.fixture
def tiny(folder: Folder) -> Project:
    files = {
        "models/_s.yml": SOURCES,
        "models/stg_clicks.sql": "{{ config(event_time='clicked_at') }} select * from {{ source('raw', 'clicks') }}",
        "models/daily.sql": DAILY,
        "models/state.sql": STATE,
    }
    return load_project(folder(files))


def test_a_microbatch_filters_only_upstreams_with_an_event_time(
    tiny: Project,
) -> None:
    sql = compile_model(tiny, tiny.model("daily"), Batch(date(2024, 1, 2), date(2024, 1, 4)))
    assert (
        "from (select * from core.stg_clicks where clicked_at >= timestamp '2024-01-02 00:00:00' "
        "and clicked_at < timestamp '2024-01-04 00:00:00') as c" in sql
    )
    assert "from raw.pages)" in sql
    # A view is not a microbatch, so nothing is filtered.
    assert "where" not in compile_model(tiny, tiny.model("stg_clicks"))


def test_a_snapshot_needs_an_as_of(tiny: Project) -> None:
    sql = compile_model(tiny, tiny.model("state"), Snapshot(datetime(2024, 1, 3)))
    assert "day < cast('2024-01-03 00:00:00' as date)" in sql
    with pytest.raises(
        ProjectError, match=r"state\.sql: a snapshot model requires an as_of, but none was given"
    ):
        compile_model(tiny, tiny.model("state"))


def test_build_creates_all_upstream_models_in_its_schema(tiny: Project, connection: Connection) -> None:
    built = build(connection, tiny, ["state"], "scratch", INPUTS, as_of=datetime(2024, 1, 3))
    assert built == {name: f"scratch.{name}" for name in ("stg_clicks", "daily", "state")}
    assert only(read_rows(connection, "scratch.daily"), "day", "clicks", "pages") == [
        (date(2024, 1, 1), 1, 2),
        (date(2024, 1, 2), 2, 2),
    ]
    assert connection.execute("from scratch.state") == [(datetime(2024, 1, 3), 3)]
    assert connection.relation_kind("core.daily") is None


def test_build_replaces_only_its_days_and_snapshots(tiny: Project, connection: Connection) -> None:
    def at(day: int, clicks: pd.DataFrame = CLICKS, start: date | None = None) -> list[tuple[object, ...]]:
        inputs = INPUTS | {"raw.clicks": clicks}
        build(connection, tiny, ["state"], "scratch", inputs, as_of=datetime(2024, 1, day), start=start)
        return connection.execute("select as_of, clicks from scratch.state order by 1")

    assert at(2) == [(datetime(2024, 1, 2), 1)]
    assert at(3) == [(datetime(2024, 1, 2), 1), (datetime(2024, 1, 3), 3)]
    # Only 2 January is built again, without clicks; the first day keeps its click.
    assert at(3, CLICKS.head(1), start=date(2024, 1, 2)) == [
        (datetime(2024, 1, 2), 1),
        (datetime(2024, 1, 3), 1),
    ]


def test_build_accepts_models_and_relations_as_inputs(tiny: Project, connection: Connection) -> None:
    given = pd.DataFrame({"day": [date(2024, 1, 1)], "clicks": [7], "pages": [0]})
    built = build(connection, tiny, ["state"], "scratch", {"daily": given}, as_of=datetime(2024, 1, 3))
    assert list(built) == ["state"]
    assert connection.scalar("select clicks from scratch.state") == 7
    build(connection, tiny, ["state"], "other", {"daily": "scratch.daily"}, as_of=datetime(2024, 1, 3))
    assert connection.scalar("select clicks from other.state") == 7


def test_build_rejects_unknown_names(tiny: Project, connection: Connection) -> None:
    with pytest.raises(ProjectError, match="unknown model, seed or source 'nothing'"):
        build(connection, tiny, ["nothing"], "scratch", {})
    with pytest.raises(ProjectError, match=r"unknown model, seed or source 'raw\.nothing'"):
        build(connection, tiny, ["state"], "scratch", {"raw.nothing": CLICKS})


@pytest.mark.parametrize("model", ["state", "daily", "stg_clicks"])
def test_an_as_of_that_is_not_midnight_is_an_error(model: str, tiny: Project, connection: Connection) -> None:
    with pytest.raises(ValueError, match="2024-01-03 12:00:00 is not a shop-local midnight"):
        build(connection, tiny, [model], "scratch", INPUTS, as_of=datetime(2024, 1, 3, 12))


def test_an_as_of_with_a_time_zone_is_an_error() -> None:
    with pytest.raises(ValueError, match="is not a shop-local midnight"):
        Snapshot(pd.Timestamp("2024-01-03", tz="UTC").to_pydatetime())


def test_a_failed_build_keeps_previous_rows(tiny: Project, connection: Connection) -> None:
    build(connection, tiny, ["state"], "scratch", INPUTS, as_of=datetime(2024, 1, 3))
    before = read_rows(connection, "scratch.state")
    with pytest.raises(ProjectError), connection.transaction():
        piece = Snapshot(datetime(2024, 1, 3))
        sql = "select timestamp '2024-01-03' as as_of, error('half-way')::bigint as clicks"
        materialize(connection, tiny.model("state"), "scratch.state", sql, piece)
    assert read_rows(connection, "scratch.state") == before


def test_a_view_may_become_a_table_and_a_table_a_view(folder: Folder, connection: Connection) -> None:
    for kind, expected in (("view", "VIEW"), ("table", "BASE TABLE"), ("view", "VIEW")):
        files = {"models/a.sql": f"{{{{ config(materialized='{kind}') }}}} select 1 as k"}
        build(connection, load_project(folder(files)), ["a"], "scratch", {})
        assert connection.relation_kind("scratch.a") == expected
        assert connection.execute("from scratch.a") == [(1,)]


def test_macros_can_call_macros_and_read_variables(folder: Folder) -> None:
    files = {
        "macros/a.sql": "{% macro greeting() %}hello{% endmacro %}",
        "macros/b.sql": "{% macro line() %}'{{ greeting() }} {{ var('start_date') }}'{% endmacro %}",
        "models/a.sql": "select {{ line() }} as k",
    }
    project = load_project(folder(files), start_date="2020-02-02")
    assert compile_model(project, project.model("a")) == "select 'hello 2020-02-02' as k"


# ------------------------------------------------------------------------------------- seeds


def seeded(folder: Folder, connection: Connection, csv: str, columns: str = "") -> str:
    files = {
        "seeds/rules.csv": csv,
        "models/a.sql": "select * from {{ ref('rules') }}",
        "dbt_project.yml": DBT_PROJECT,
    }
    if columns:
        files["seeds/_s.yml"] = f"seeds:\n  - name: rules\n    columns: {columns}\n"
    return build(connection, load_project(folder(files)), ["a"], "scratch", {})["a"]


def test_a_seed_has_the_documented_types(folder: Folder, connection: Connection) -> None:
    columns = "[{name: code, data_type: VARCHAR}, {name: factor, data_type: 'DECIMAL(18,4)'}]"
    relation = seeded(folder, connection, 'code,factor\n007,1.5\n"a,b",\n', columns)
    assert connection.columns(f"select * from {relation}") == {"code": "VARCHAR", "factor": "DECIMAL(18,4)"}
    assert [(r["code"], str(r["factor"])) for r in read_rows(connection, relation)] == [
        ("007", "1.5000"),
        ("a,b", "None"),
    ]


def test_a_seed_with_undocumented_columns_is_rejected(folder: Folder, connection: Connection) -> None:
    with pytest.raises(
        ProjectError, match=r"rules\.csv: expected the columns code, factor, found code, fctor"
    ):
        seeded(folder, connection, "code,fctor\na,1\n", "[{name: code}, {name: factor}]")


# ------------------------------------------------------------------------------- data tests


@pytest.mark.parametrize(
    ("test", "failing"),
    [
        ("not_null", 1),
        ("unique", 1),
        ('accepted_values: {arguments: {values: [a, "it\'s"]}}', 1),
        ("relationships: {arguments: {to: ref('names'), field: name}}", 2),
    ],
)
def test_data_tests_count_failures_as_dbt_does(
    test: str, failing: int, folder: Folder, connection: Connection
) -> None:
    files = {
        "models/a.sql": "select unnest(['a', 'a', 'it''s', 'b', null]) as k",
        "seeds/names.csv": "name\na\n",
        "models/_m.yml": "models:\n  - name: a\n    columns:\n      - name: k\n        data_tests:\n"
        f"          - {test}\n",
    }
    project = load_project(folder(files))
    relations = build(connection, project, ["a", "names"], "scratch", {}) | {"names": "scratch.names"}
    (spec,) = project.model("a").all_tests
    assert connection.scalar(failing_rows(spec, "scratch.a", relations.__getitem__)) == failing


# ----------------------------------------------------------------------------- two clocks


def test_known_at_restricts_rows_to_those_known_at_that_time(raw: Raw) -> None:
    raw.event("purchase", "2024-01-02 10:00", event_id="a", superseded_at="2024-01-05")
    raw.event("purchase", "2024-01-02 10:00", event_id="a", known_at="2024-01-05", quantity=3)
    raw.event("purchase", "2024-01-03 10:00", event_id="late", known_at="2024-01-09")
    raw.event("purchase", "2024-01-04 10:00", event_id="gone", superseded_at="2024-01-06")
    raw.event("purchase", "2024-01-04 10:00", event_id="gone", known_at="2024-01-06", deleted=True)

    def units(known_at: str | None) -> int:
        instant = datetime.fromisoformat(known_at) if known_at else None
        rows = raw.rows("customer_features", "2024-01-10", known_at=instant)
        return int(rows[0]["units"])

    assert [
        units(k) for k in ("2024-01-04 12:00", "2024-01-05", "2024-01-06", "2024-01-08", "2024-01-09", None)
    ] == [2, 4, 3, 3, 4, 4]
