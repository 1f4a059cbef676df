"""The summary of a run: each trained model, its gate, and what serves."""

from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from io import StringIO
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from clm_dagster.domains.shop.models_summary import ModelState, read_models, render_models
from clm_dagster.domains.shop.summary import Summary, read_summary, render
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings, SettingsError

TRAINING = "as_of timestamp, horizon_days bigint, accepted boolean, said varchar"


@pytest.fixture
def raw() -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duckdb.connect()) as opened:
        opened.execute("create schema models")
        yield opened


def shown(states: list[ModelState], width: int = 200) -> str:
    console = Console(file=StringIO(), width=width)
    for part in render_models(states):
        console.print(part)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def test_each_model_has_its_gate_and_what_serves(raw: duckdb.DuckDBPyConnection) -> None:
    for name in ("churn_model", "value_model", "no_trainings"):
        raw.execute(f"create table models.{name} ({TRAINING})")
    raw.execute(
        f"create table models.lists_model ({TRAINING}, accepted_next_best boolean, accepted_discover boolean)"
    )
    raw.execute("create table models.persona_model (as_of timestamp, accepted boolean, said varchar)")
    raw.execute("insert into models.persona_model values ('2024-05-06', false, 'no clear groups')")
    raw.execute("create table models.other (as_of timestamp, score double)")
    raw.execute(
        "create table models.serving (model varchar, as_of timestamp, part varchar, is_champion boolean, "
        "model_name varchar, model_version varchar, model_as_of timestamp, reason varchar)"
    )
    raw.execute(
        "insert into models.churn_model values ('2024-05-06', 90, false, 'no better than recency'), "
        "('2024-02-05', 90, false, 'ten customers')"
    )
    raw.execute(
        "insert into models.value_model values ('2024-02-05', 90, true, 'passed'), ('2024-05-06', 90, false, 'worse')"
    )
    raw.execute("insert into models.lists_model values ('2024-05-06', 60, true, 'one of two', true, false)")
    raw.execute(
        "insert into models.serving values "
        "('models.churn_model', '2024-05-06', 'all', false, 'recency_baseline', '2', '2024-05-06', 'refused'), "
        "('models.churn_model', '2024-04-29', 'all', true, 'models.churn_model', '1', '2024-02-05', null), "
        "('models.value_model', '2024-05-06', 'all', true, 'models.value_model', '1', '2024-02-05', null), "
        "('models.lists_model', '2024-05-06', 'next_best', true, 'models.lists_model', '3', '2024-05-06', null), "
        "('models.lists_model', '2024-05-06', 'discover', false, 'popularity_baseline', 'none', null, 'refused')"
    )
    states = read_models(Connection(raw))
    assert [(one.name, one.gate, one.serves) for one in states] == [
        ("churn_model", "refused", "recency_baseline"),
        ("lists_model (next_best)", "passed", "version 3 of 2024-04-29 (as_of 2024-05-06)"),
        ("lists_model (discover)", "refused", "popularity_baseline"),
        ("persona_model", "refused", "the newest training"),
        ("value_model", "refused", "version 1 of 2024-01-29 (as_of 2024-02-05)"),
    ]
    assert {(one.partition, one.as_of) for one in states} == {("2024-04-29", "2024-05-06")}
    text = shown(states)
    assert "churn_model: no better than recency" in text and "ten customers" not in text
    assert text.count("one of two") == 1 and "WARNING" not in text


def test_a_refused_model_that_serves_is_a_warning(raw: duckdb.DuckDBPyConnection) -> None:
    raw.execute(f"create table models.churn_model ({TRAINING})")
    raw.execute("insert into models.churn_model values ('2024-05-06', 90, false, 'no better than recency')")
    raw.execute(
        "create table models.serving as select 'models.churn_model' as model, timestamp '2024-05-06' as as_of, "
        "'all' as part, false as is_champion, 'models.churn_model' as model_name, '2' as model_version, "
        "timestamp '2024-05-06' as model_as_of, 'CLM_SERVE_REFUSED_MODELS is on: version 2 serves' as reason"
    )
    text = shown(read_models(Connection(raw)))
    assert "WARNING churn_model: CLM_SERVE_REFUSED_MODELS is on: version 2 serves" in text


def test_only_a_model_that_every_shop_needs_is_a_warning_where_nothing_serves(
    raw: duckdb.DuckDBPyConnection,
) -> None:
    for name in ("churn", "uplift"):
        raw.execute(f"create table models.{name}_model ({TRAINING})")
        raw.execute(
            f"insert into models.{name}_model values ('2024-05-06', 90, false, 'nothing to learn {name}')"
        )
    raw.execute(
        "create table models.serving as select 'models.' || name || '_model' as model, "
        "timestamp '2024-05-06' as as_of, 'all' as part, false as is_champion, null as model_name, "
        "null as model_version, null::timestamp as model_as_of, 'No model by this date.' as reason "
        "from (values ('churn'), ('uplift')) as n(name)"
    )
    text = shown(read_models(Connection(raw)))
    assert text.count("WARNING") == 1 and "WARNING churn_model" in text
    assert "uplift_model: nothing to learn uplift" in text


def test_no_name_is_cut_off_in_a_narrow_terminal() -> None:
    def state(name: str, serves: str) -> ModelState:
        return ModelState(name, "2024-04-29", "2024-05-06", "refused", "", serves, None, False)

    text = shown(
        [
            state("demand_model (week)", "eight_week_mean_baseline"),
            state("recommender_model (discover)", "version 3 of 2024-04-29 (as_of 2024-05-06)"),
        ],
        width=80,
    )
    assert "demand_model (week)" in text and "eight_week_mean_baseline" in text and "…" not in text
    assert text.count("2024-05-06") == 3 and max(map(len, text.splitlines())) <= 80


def test_a_shop_without_models_has_none(raw: duckdb.DuckDBPyConnection) -> None:
    assert read_models(Connection(raw)) == [] and shown([]) == ""


def test_a_copy_of_an_unfinished_first_run_is_a_message(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for()
    settings.published_path.parent.mkdir(parents=True)
    with closing(duckdb.connect(str(settings.published_path))) as copy:
        copy.execute("create schema raw; create table raw.events (event_id varchar)")
    with pytest.raises(SettingsError, match=r"does not have raw\.deliveries, .* marts\.rfm_segments yet"):
        read_summary(settings)


def test_a_path_in_the_summary_can_be_copied_from_a_narrow_terminal(
    settings_for: Callable[..., Settings],
) -> None:
    settings = settings_for(
        data_dir=Path("/srv/shops/a rather long name of a shop/and a folder below it/data")
    )
    screen = StringIO()
    Console(file=screen, width=80).print(
        render(
            Summary(
                ledger={"events": (3, 1, 2, 0, 0)},
                reasons=[("events", "negative_price", 2)],
                days=("2024-01-01", "2024-01-31", 31),
                customers=1,
                orders=1,
                net_revenue=Decimal("1.00"),
                known_net_revenue=Decimal("1.00"),
                currency="EUR",
                as_of="2024-02-05",
                snapshot="2024-01-29",
                segments=[("champions", 1, Decimal("1.00"))],
                guests=[],
                remarks=[("orders.csv", "unknown column 'prce' resembles unit_price " * 3)],
                models=[],
                grades=[],
            ),
            settings,
        ),
        crop=False,
    )
    lines = [line.rstrip() for line in screen.getvalue().splitlines()]
    assert f"  {settings.data_dir / 'published' / 'clm.duckdb'}" in lines
    assert f"  CLM_DATA_DIR='{settings.data_dir}' clm dev" in lines
    wrapped = [line for line in lines if "resembles" in line or "unit_price" in line]
    assert len(wrapped) > 1 and all(line.startswith("  ") for line in wrapped)
