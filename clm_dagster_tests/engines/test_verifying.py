"""All models of a shop are built twice and compared; a planted difference of any kind is found where it is."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clm_dagster.cli import cli
from clm_dagster.engines.comparing import DIFFERENT, EQUAL
from clm_dagster.engines.duckdb_engine import DuckDBEngine
from clm_dagster.engines.duckdb_session import DuckDBSession
from clm_dagster.engines.inputs import NothingToVerifyError
from clm_dagster.engines.results import FAILED, NOT_COMPARED, STALE, ModelResult, Verification
from clm_dagster.engines.verifying import UnknownModelError, verify
from clm_dagster.engines.ways import BATCH_AGAIN, DAYS_BACK, DAYS_GONE, ONE_BY_ONE
from clm_dagster.platform.dbt_project.building import Batch, ChangedDays, Slice, Snapshot, Snapshots
from clm_dagster.platform.dbt_project.project import Model, Project
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.settings import Settings
from clm_dagster.verify_view import as_dict
from clm_dagster_tests.shops import quiet, run_at, small_shop_events, write_shop
from clm_dagster_tests.two_weeks import copy_shop, edit

# Changes the SQL of a piece of a model.
Change = Callable[[str, Slice], str]


class PlantedSession(DuckDBSession):
    """A session that builds some models by other SQL."""

    changes: Mapping[str, Change]

    def compiled(self, project: Project, model: Model, piece: Slice, variables: Mapping[str, Any]) -> str:
        """Return the changed SQL of a model."""
        sql = super().compiled(project, model, piece, variables)
        change = self.changes.get(model.name)
        return change(sql, piece) if change else sql


class PlantedEngine(DuckDBEngine):
    """DuckDB that builds some models by other SQL."""

    def __init__(self, settings: Settings, changes: Mapping[str, Change]) -> None:
        super().__init__(settings)
        self.changes = changes

    @contextmanager
    def open(self, folder: Path) -> Iterator[DuckDBSession]:
        """Open a database that has changed SQL."""
        with super().open(folder) as session:
            planted = PlantedSession(session.connection)
            planted.changes = self.changes
            yield planted


def replaced(column: str, by: str) -> Change:
    """Return the change of one column."""
    return lambda sql, piece: f"select * replace ({by} as {column}) from (\n{sql}\n)"


def run(
    settings: Settings,
    models: tuple[str, ...] = (),
    changes: Mapping[str, Change] | None = None,
    **options: Any,
) -> Verification:
    return verify(settings, PlantedEngine(settings, changes or {}), quiet, models, **options)


def by_name(found: Verification) -> dict[str, ModelResult]:
    return {model.relation.split(".")[1]: model for model in found.models}


@pytest.fixture
def shop(two_weeks: Settings, tmp_path: Path) -> Settings:
    """A shop of two weeks to change."""
    return copy_shop(two_weeks, tmp_path)


def test_all_models_of_a_shop_are_equal(two_weeks: Settings, project: Project, tmp_path: Path) -> None:
    before = sorted(path.name for path in two_weeks.data_dir.iterdir())
    found = run(two_weeks, folder=tmp_path / "kept")
    assert found.red == []
    assert found.exit_code == 0
    assert len(found.models) == len(project.models)
    assert found.as_ofs == (datetime(2024, 1, 8), datetime(2024, 1, 15))
    models = by_name(found)
    for name, model in models.items():
        assert model.verdict == EQUAL, name
        kind = project.models[name].materialized
        assert model.stored_verdict == (
            EQUAL if kind in ("microbatch", "snapshot", "state") else model.stored_verdict
        )
        ways = {"microbatch": [BATCH_AGAIN], "snapshot": [ONE_BY_ONE], "state": [DAYS_GONE, DAYS_BACK]}
        assert list(model.ways) == ways.get(kind, [])
    assert {
        name for name, m in models.items() if m.stored_verdict == NOT_COMPARED and m.materialized != "view"
    } == {
        "recommendation_scorecard"  # nothing is scored
    }
    assert models["customer_daily"].rows > 0 and models["rfm_segments"].rows > 0
    assert sorted(path.name for path in two_weeks.data_dir.iterdir()) == before
    assert {"engine", "reference", "rows"} <= {path.name for path in (tmp_path / "kept").iterdir()}


def test_each_planted_difference_of_an_engine_is_found_in_its_model_only(two_weeks: Settings) -> None:
    changes: dict[str, Change] = {
        # A decimal in the last digit, of one row.
        "product_daily": replaced(
            "net_revenue",
            "cast(net_revenue + 0.0001 * cast(rank() over (order by sales_date, product_id) = 1 as integer) "
            "as decimal(18, 4))",
        ),
        # The type alone.
        "totals_daily": replaced("orders", "cast(orders as integer)"),
        # One row twice.
        "order_days": lambda sql, piece: (
            f"select * from (\n{sql}\n) union all (select * from (\n{sql}\n) limit 1)"
        ),
        # A null that is gone.
        "customer_features": replaced("recency_days", "coalesce(recency_days, 0)"),
        # Other SQL, of a view, and SQL that does not run.
        "stg_order_lines": lambda sql, piece: f"select * from (\n{sql}\n) where line_type <> 'return'",
        "rfm_scores": lambda sql, piece: "select error('of ''c001''')",
    }
    found = by_name(run(two_weeks, changes=changes))
    assert {name for name, model in found.items() if model.is_red} == set(changes)
    assert {name for name, model in found.items() if model.verdict == FAILED} == {"rfm_scores"}
    assert "c001" not in found["rfm_scores"].error
    decimals, types, doubled, nulls, view = (
        found[name].comparison
        for name in ("product_daily", "totals_daily", "order_days", "customer_features", "stg_order_lines")
    )
    assert decimals and decimals.differing == ("net_revenue",) and decimals.missing == decimals.added == 1
    assert types and types.columns == ("orders is INTEGER, expected BIGINT",) and not types.missing
    assert doubled and (doubled.missing, doubled.added) == (0, 1)
    assert nulls and "recency_days" in nulls.nulls and nulls.differing == ("recency_days",)
    assert view and view.missing > 0 and view.added == 0


@pytest.mark.parametrize(
    ("model", "kind", "way"),
    [
        ("customer_daily", Batch, BATCH_AGAIN),
        ("customer_features", Snapshot, ONE_BY_ONE),
        ("customer_products", ChangedDays, DAYS_GONE),
    ],
)
def test_a_difference_in_one_way_of_building_is_found(
    two_weeks: Settings, model: str, kind: type[Slice], way: str
) -> None:
    pieces: list[Slice] = []

    def without_rows(sql: str, piece: Slice) -> str:
        pieces.append(piece)
        is_first = len(pieces) == 1
        return sql if is_first or not isinstance(piece, kind) else f"select * from (\n{sql}\n) where false"

    found = by_name(run(two_weeks, (model,), {model: without_rows}))[model]
    assert found.comparison and found.comparison.verdict == EQUAL
    assert found.ways[way].verdict == DIFFERENT
    assert found.verdict == DIFFERENT
    assert isinstance(pieces[0], Snapshots if kind is Snapshot else (Batch if kind is Batch else type(None)))


def test_a_state_that_keeps_what_has_gone_is_found(two_weeks: Settings) -> None:
    def nothing_goes(sql: str, piece: Slice) -> str:
        rows = f"select * from (\n{sql}\n)"
        return f"{rows} where first_purchase_date is not null" if isinstance(piece, ChangedDays) else rows

    found = by_name(run(two_weeks, ("customer_products",), {"customer_products": nothing_goes}))
    assert found["customer_products"].ways[DAYS_GONE].added > 0
    assert found["customer_products"].ways[DAYS_BACK].verdict == EQUAL


def test_an_edited_model_is_stale(shop: Settings) -> None:
    edit(shop, "models/core/totals_daily.sql", "select * from final", "select * from final where orders <> 1")
    found = by_name(run(shop, ("totals_daily", "shop_daily", "customer_daily")))
    # The engine builds the edited model as the reference does; the stored rows are of the old one.
    assert found["totals_daily"].verdict == EQUAL
    assert found["totals_daily"].stored_verdict == STALE
    assert found["totals_daily"].stored is not None and found["totals_daily"].stored.verdict == DIFFERENT
    assert found["customer_daily"].stored_verdict == EQUAL


@pytest.mark.slow
def test_a_run_mends_what_is_stale(shop: Settings, tmp_path: Path) -> None:
    edit(shop, "models/core/totals_daily.sql", "select * from final", "select * from final where orders <> 1")
    run_at(tmp_path, shop)
    assert run(shop).red == []


def test_stored_rows_that_no_build_gives_are_found(shop: Settings) -> None:
    with warehouse_of(shop).connect("a test") as connection:
        connection.execute("delete from core.customer_daily where rowid = 0")
        connection.execute("update core.rfm_scores set r_score = 0 where as_of = timestamp '2024-01-15'")
    found = by_name(run(shop, ("core.customer_daily", "rfm_scores", "totals_daily")))
    assert {name: model.stored_verdict for name, model in found.items()} == {
        "totals_daily": EQUAL,
        "customer_daily": DIFFERENT,
        "rfm_scores": DIFFERENT,
    }
    assert found["rfm_scores"].verdict == EQUAL
    daily = found["customer_daily"].stored
    assert daily and (daily.missing, daily.added) == (1, 0)


def test_any_as_of_can_be_verified(two_weeks: Settings) -> None:
    found = run(two_weeks, ("customer_features",), as_ofs=[datetime(2024, 1, 10), datetime(2024, 1, 15)])
    assert found.red == []
    (model,) = found.models
    assert model.stored is not None and 0 < model.stored.rows < model.rows
    (other,) = run(two_weeks, ("customer_features",), as_ofs=[datetime(2024, 1, 10)]).models
    assert (other.stored_verdict, other.stored_why) == (NOT_COMPARED, "these as_ofs are not stored")
    assert other.ways == {}


def test_a_shop_without_optional_tables_is_verified(shop: Settings) -> None:
    with warehouse_of(shop).connect("a test") as connection:
        for table in ("products", "touches", "identities"):
            assert connection.scalar(f"select count(*) from raw.{table}") == 0
            connection.execute(f"drop table raw.{table} cascade")
    assert run(shop, ("stg_products", "stg_touches", "margin_rates", "campaign_attribution")).red == []


@pytest.mark.slow
def test_rows_that_arrive_in_pieces_give_the_tables_of_a_whole_build(tmp_path: Path) -> None:
    """Days are loaded, loaded again with corrections, and lose rows; snapshots follow."""
    events = small_shop_events(customers=12, orders=60, days=21)
    early = events[events.event_at < "2024-01-12"]
    settings = write_shop(tmp_path, early.iloc[::2], end_date="2024-01-22")
    run_at(tmp_path, settings)
    late = events.assign(unit_price=events.unit_price.where(events.index % 7 > 0, "3.33"))
    late.drop(columns="event_id").assign(event_id=events.event_id).to_csv(
        tmp_path / "inbox" / "second.csv", index=False
    )
    run_at(tmp_path, settings)
    found = run(settings)
    assert found.red == []
    assert by_name(found)["customer_products"].stored is not None


@pytest.mark.parametrize(
    ("name", "near"), [("custmer_features", "customer_features"), ("core.orders_day", "core.order_days")]
)
def test_an_unknown_model_is_an_error_with_the_nearest_name(
    two_weeks: Settings, name: str, near: str
) -> None:
    with pytest.raises(UnknownModelError, match=f"unknown model '{name}'; did you mean {near}"):
        run(two_weeks, (name,))


def test_nothing_to_verify_is_an_error_that_says_what_to_do(shop: Settings, tmp_path: Path) -> None:
    with pytest.raises(NothingToVerifyError, match=r"no warehouse at .*; run `clm run` first"):
        run(shop.replace(data_dir=tmp_path / "none"))
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    with pytest.raises(NothingToVerifyError, match="not an empty folder"):
        run(shop, folder=full)
    with warehouse_of(shop).connect("a test") as connection:
        connection.execute("delete from raw.builds where relation = 'core.customer_features'")
    with pytest.raises(NothingToVerifyError, match="no snapshot that all models have"):
        run(shop)


def test_an_interruption_leaves_nothing_behind(two_weeks: Settings, tmp_path: Path) -> None:
    def interrupt(sql: str, piece: Slice) -> str:
        raise KeyboardInterrupt

    before = sorted(path.name for path in two_weeks.data_dir.iterdir())
    for folder in (None, tmp_path / "kept" / "it"):
        with pytest.raises(KeyboardInterrupt):
            run(two_weeks, ("order_days",), {"order_days": interrupt}, folder=folder)
    assert sorted(path.name for path in two_weeks.data_dir.iterdir()) == before
    assert list((tmp_path / "kept").iterdir()) == []


def test_the_command_prints_a_line_for_each_model_and_exits_with_1_for_a_difference(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLM_DATA_DIR", str(shop.data_dir))
    monkeypatch.setenv("CLM_SQL_DIR", str(shop.sql_dir))
    result = CliRunner().invoke(cli, ["verify", "--models", "order_days,core.totals_daily"])
    assert result.exit_code == 0, result.output
    assert (
        "core.order_days" in result.output
        and "All equal. 2 models at 2024-01-08 and 2024-01-15" in result.output
    )
    edit(
        shop,
        "models/core/order_days.sql",
        "select * from final",
        "select * from final where lines > 1",
    )
    result = CliRunner().invoke(
        cli, ["verify", "order_days", "totals_daily", "--json", "--as-of", "2024-01-08"]
    )
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert not found["equal"]
    assert [(m["model"], m["verdict"], m["stored"]) for m in found["models"]] == [
        ("core.order_days", EQUAL, STALE),
        ("core.totals_daily", EQUAL, STALE),
    ]


def test_the_output_has_no_ids_of_customers(two_weeks: Settings) -> None:
    changes = {"customer_daily": replaced("customer_id", "customer_id || '-planted'")}
    found = run(two_weeks, ("customer_daily", "rfm_scores"), changes)
    assert found.exit_code == 1
    text = json.dumps(as_dict(found), default=str)
    assert "planted" not in text and '"c0' not in text
