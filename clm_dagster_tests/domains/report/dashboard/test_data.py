"""The tables of the project: computed for every kind of shop, and equal to what was published."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from clm_dagster.cli import cli
from clm_dagster.domains.report.dashboard.data import read_query, refresh_data
from clm_dagster.domains.report.dashboard.project import DashboardError, write_project
from clm_dagster.domains.report.pseudonyms import Pseudonyms
from clm_dagster.domains.report.reading import NothingToReportError
from clm_dagster.settings import Settings, SettingsError
from clm_dagster_tests.domains.report.dashboard.dashboard_shop import open_data, page_queries, publish
from clm_dagster_tests.domains.report.page_shop import empty_shop

Make = Callable[..., tuple[Settings, Path]]


@pytest.fixture
def made(settings_for: Callable[..., Settings], tmp_path: Path) -> Make:
    """Return a function that publishes a shop of a kind and writes a project."""

    def make(kind: str = "full", **options: object) -> tuple[Settings, Path]:
        settings = settings_for(data_dir=tmp_path / kind, **options)
        publish(settings, kind)
        folder = tmp_path / f"{kind}-dashboard"
        write_project(folder)
        return settings, folder

    return make


@pytest.mark.parametrize("kind", ["full", "untrained", "emptied", "bare"])
def test_every_table_and_every_query_of_a_page_works(made: Make, kind: str) -> None:
    settings, folder = made(kind)
    done = refresh_data(settings, folder)
    data = open_data(folder)
    declared = {path.stem: read_query(path) for path in (folder / "tables").glob("*.sql")}
    assert set(done.rows) == set(declared)
    for name, query in declared.items():
        rows = data.execute(f"select * from clm.{name}").fetchall()
        assert len(rows) == max(done.rows[name], 1)
        # A table without rows has one of nulls; the first column says so.
        assert [row[0] is None for row in rows] == [not done.rows[name]] * len(rows), name
        columns = [column[0] for column in data.description or ()]
        assert columns == [column.split()[0] for column in query.columns.split(", ")]
    for name, text in page_queries(folder).items():
        rows = data.execute(text).fetchall()
        assert all(row[0] is not None for row in rows), name
        if kind == "full":
            assert rows, name
    if kind == "full":
        assert not [name for name, rows in done.rows.items() if not rows]
    if kind in ("emptied", "bare"):
        assert {name for name, rows in done.rows.items() if rows} == {"shop", "segments"}


def test_numbers_are_those_of_the_published_tables(made: Make) -> None:
    settings, folder = made()
    refresh_data(settings, folder)
    data = open_data(folder)
    data.execute(f"attach '{settings.published_path}' as published (read_only)")

    def one(query: str) -> tuple[object, ...]:
        found = data.execute(query).fetchone()
        assert found is not None
        return found

    pairs = {
        "select net_revenue, orders from clm.weeks where week = '2024-05-27'": "select sum(net_revenue)::double, "
        "sum(orders) from published.marts.shop_daily where sales_date between '2024-05-27' and '2024-06-02'",
        "select sum(customers), sum(net_revenue) from clm.segments": "select count(*), sum(monetary)::double "
        "from published.marts.rfm_segments where as_of = '2024-06-03'",
        "select sum(customers), round(sum(expected_loss), 6) from clm.churn": "select count(*), "
        "round(sum(expected_loss), 6) from published.marts.churn_scores",
        "select sum(customers), sum(expected_gain), sum(expected_cost) from clm.actions": "select count(*), "
        "sum(expected_gain)::double, sum(expected_cost)::double from published.marts.next_best_actions "
        "where arm = 'treated' and play is not null",
        "select sum(delivered), sum(accepted), sum(rejected) from clm.deliveries": "select sum(delivered), "
        "sum(accepted), sum(rejected) from published.raw.deliveries",
        "select sum(rejected) from clm.rejects": "select count(*) from published.raw.rejects",
        "select sum(customers) from clm.stages where as_of = '2024-06-03'": "select count(*) "
        "from published.marts.lifecycle_stages where as_of = '2024-06-03'",
        "select sum(customers), sum(first_for) from clm.recommendations": "select count(*), "
        "count(*) filter (where rank = 1) from published.marts.recommendations",
        "select sum(expected), min(low) from clm.forecast": "select sum(mean)::double, min(q10)::double "
        "from published.marts.demand_forecasts",
        # k1 and k2 are one person.
        "select returning_customers + new_customers from clm.customer_weeks where week = '2024-05-27'": "select "
        "count(distinct if(customer_id = 'k2', 'k1', customer_id)) from published.core.customer_daily "
        "where activity_date >= '2024-05-27'",
        "select currency from clm.shop": "select 'EUR'",
    }
    for ours, theirs in pairs.items():
        assert one(ours) == one(theirs), ours


def test_customers_are_pseudonyms_unless_the_shop_says_otherwise(
    made: Make, settings_for: Callable[..., Settings]
) -> None:
    settings, folder = made()
    refresh_data(settings, folder)
    ids = [row[0] for row in open_data(folder).execute("select customer from clm.to_call").fetchall()]
    pseudonyms = Pseudonyms.of_shop(settings)
    assert ids and set(ids) <= {pseudonyms.of(f"k{number}") for number in range(30)}
    stored = (folder / "sources" / "clm" / "clm.duckdb").read_bytes()
    assert b"k17" not in stored
    named = settings_for(data_dir=settings.data_dir, report_ids="shop")
    refresh_data(named, folder)
    shown = {row[0] for row in open_data(folder).execute("select customer from clm.to_call").fetchall()}
    assert shown <= {f"k{number}" for number in range(30)}


def test_a_table_that_somebody_adds_is_computed_and_can_be_read(made: Make) -> None:
    settings, folder = made()
    (folder / "tables" / "mine.sql").write_text(
        "-- needs: marts.shop_daily\n-- columns: days BIGINT\nselect count(*) as days from marts.shop_daily\n"
    )
    assert refresh_data(settings, folder).rows["mine"] == 1
    assert (folder / "sources" / "clm" / "mine.sql").read_text() == "select * from mine\n"


def test_errors_name_the_file_and_keep_the_old_data(made: Make) -> None:
    settings, folder = made()
    refresh_data(settings, folder)
    data = folder / "sources" / "clm" / "clm.duckdb"
    before = data.read_bytes()
    table = folder / "tables" / "weeks.sql"
    table.write_text(
        "-- needs: marts.shop_daily\n-- columns: a BIGINT\nselect nothing as a from marts.shop_daily\n"
    )
    with pytest.raises(DashboardError, match=r"weeks\.sql: .*nothing"):
        refresh_data(settings, folder)
    table.write_text("select 1 as a")
    with pytest.raises(DashboardError, match=r"weeks\.sql: expected .* found no line `-- columns:`"):
        refresh_data(settings, folder)
    assert data.read_bytes() == before
    assert not [path for path in data.parent.iterdir() if path.name.startswith(".")]


def test_what_is_missing_is_said(settings_for: Callable[..., Settings], tmp_path: Path) -> None:
    settings = settings_for(data_dir=tmp_path / "data")
    with pytest.raises(DashboardError, match="has no queries; expected a project"):
        refresh_data(settings, tmp_path / "nowhere")
    write_project(tmp_path / "dashboard")
    with pytest.raises(SettingsError, match="nothing has been published yet"):
        refresh_data(settings, tmp_path / "dashboard")
    settings.published_path.parent.mkdir(parents=True)
    empty_shop(str(settings.published_path)).raw.close()
    with pytest.raises(NothingToReportError):
        refresh_data(settings, tmp_path / "dashboard")


def test_the_commands(made: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings, _ = made("untrained")
    out = tmp_path / "new"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLM_DATA_DIR", str(settings.data_dir))
    done = CliRunner().invoke(cli, ["dashboard", "init", "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "Data of 2024-06-03" in done.output and "npm install" in done.output
    assert "actions" in done.output.split("say so:")[1]
    again = CliRunner().invoke(cli, ["dashboard", "refresh", "--out", str(out)], catch_exceptions=False)
    assert again.exit_code == 0 and "Data of 2024-06-03" in again.output
    monkeypatch.setenv("CLM_DATA_DIR", str(tmp_path / "unpublished"))
    first = CliRunner().invoke(
        cli, ["dashboard", "init", "--out", str(tmp_path / "other")], catch_exceptions=False
    )
    assert first.exit_code == 0 and "Nothing has been published yet" in first.output
    assert (tmp_path / "other" / "pages" / "index.md").exists()
