"""The map of segments: validation, and rejection of an invalid map in Dagster."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.domains.segments.charts import score_chart, segment_chart
from clm_dagster.domains.segments.model import segment_map_problems
from clm_dagster.platform.dbt_project.building import load_seed
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.resources import load_sql
from clm_dagster.platform.warehouse import Connection, Warehouse
from clm_dagster.settings import PROJECT_DIR, Settings

SEEDS = PROJECT_DIR / "dbt_like_sql" / "seeds"
MAP = pd.read_csv(SEEDS / "rfm_segment_map.csv")
NAMES = pd.read_csv(SEEDS / "rfm_segment_names.csv")["segment"]


def row(r: object, f: object, segment: object) -> pd.DataFrame:
    return pd.DataFrame({"r_score": [r], "f_score": [f], "segment": [segment]})


def renamed(old: str, new: str | None) -> pd.DataFrame:
    return MAP.assign(segment=MAP["segment"].map(lambda name: new if name == old else name))


def test_the_shipped_map_is_valid_and_is_the_published_one() -> None:
    assert segment_map_problems(MAP, NAMES) == []
    cells = {(r, f): name for r, f, name in MAP.itertuples(index=False)}
    # REFERENCE.md, chapter RFM: the ten-name map on R and F.
    assert [cells[3, 3], cells[4, 1], cells[5, 1], cells[2, 5]] == [
        "need_attention",
        "promising",
        "new",
        "cant_lose",
    ]
    assert {cells[r, f] for r in (1, 2) for f in (1, 2)} == {"hibernating"}
    assert {cells[r, f] for r in (1, 2) for f in (3, 4)} == {"at_risk"}
    assert {cells[r, f] for r in (3, 4) for f in (4, 5)} == {"loyal"}
    assert {cells[r, f] for r in (4, 5) for f in (2, 3)} == {"potential_loyalist"}
    assert {cells[5, 4], cells[5, 5]} == {"champions"}
    assert {cells[3, 1], cells[3, 2]} == {"about_to_sleep"}


@pytest.mark.parametrize(
    ("cells", "problems"),
    [
        (MAP.iloc[1:], ["no segment for r_score 1, f_score 1"]),
        (pd.concat([MAP, MAP.head(1)]), ["r_score 1, f_score 1 appears 2 times"]),
        (pd.concat([MAP, row(6, 1, "loyal")]), ["r_score 6, f_score 1 is not a cell: scores are 1 to 5"]),
        (pd.concat([MAP, row(1, 0, "loyal")]), ["r_score 1, f_score 0 is not a cell: scores are 1 to 5"]),
        (pd.concat([MAP, row(None, 1, "loyal")]), ["a row has no r_score or no f_score"]),
        (
            renamed("new", "fresh"),
            [
                "'fresh' is not in rfm_segment_names.csv",
                "'new' is in rfm_segment_names.csv but not in any cell",
            ],
        ),
        (renamed("promising", "new"), ["'promising' is in rfm_segment_names.csv but not in any cell"]),
        (
            renamed("new", None),
            ["a cell has an empty segment", "'new' is in rfm_segment_names.csv but not in any cell"],
        ),
    ],
)
def test_every_problem_is_reported(cells: pd.DataFrame, problems: list[str]) -> None:
    assert segment_map_problems(cells, NAMES) == problems


def test_an_empty_map_lacks_every_cell_and_every_name() -> None:
    assert len(segment_map_problems(MAP.head(0), NAMES)) == 25 + 10


# ------------------------------------------------------------------------------- in Dagster


@pytest.fixture
def edited(settings_for: Callable[..., Settings], tmp_path: Path) -> Iterator[Callable[[str, str], Settings]]:
    """Return settings with a copy of the SQL project in which the map of segments is edited."""

    def edit(old: str, new: str) -> Settings:
        folder = tmp_path / "o'neill" / "sql"  # a path with unusual characters
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(PROJECT_DIR / "dbt_like_sql", folder)
        path = folder / "seeds" / "rfm_segment_map.csv"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return settings_for(sql_dir=folder)

    yield edit


def load_map(settings: Settings, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    selection = [dg.AssetKey(["staging", "rfm_segment_map"])]
    definitions = build_definitions(settings)
    job = dg.define_asset_job("map", dg.AssetSelection.assets(*selection))
    made = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
    return made.resolve_job_def("map").execute_in_process(instance=instance, raise_on_error=False)


def test_an_invalid_map_is_rejected_and_previous_rows_are_kept(
    edited: Callable[[str, str], Settings], warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    def rows() -> list[tuple[object, ...]]:
        with warehouse.connect("a test") as connection:
            return connection.execute("from staging.rfm_segment_map order by all")

    assert load_map(edited("5,1,new", "5,1,new"), instance).success
    before = rows()
    assert len(before) == 25
    result = load_map(edited("5,1,new", "5,1,loyal"), instance)
    assert not result.success
    failure = result.failure_data_for_node("staging__rfm_segment_map")
    assert failure is not None and failure.user_failure_data is not None
    assert "is invalid and the previous rows are kept: 'new' is in" in str(
        failure.user_failure_data.description
    )
    assert rows() == before
    key = dg.AssetCheckKey(dg.AssetKey(["staging", "rfm_segment_map"]), "map_is_a_partition")
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert record.event is not None and record.event.dagster_event is not None
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    assert (evaluation.passed, evaluation.blocking) == (False, True)
    assert evaluation.description == "'new' is in rfm_segment_names.csv but not in any cell"
    assert load_map(edited("5,1,new", "5,1,new"), instance).success


def test_a_score_that_is_not_a_number_is_reported_with_its_line(
    edited: Callable[[str, str], Settings], instance: dg.DagsterInstance
) -> None:
    result = load_map(edited("5,1,new", "five,1,new"), instance)
    failure = result.failure_data_for_node("staging__rfm_segment_map")
    assert failure is not None
    text = str(failure.error)
    assert "five" in text and "INTEGER" in text and "rfm_segment_map.csv" in text


# ------------------------------------------------------------------------------------- chart


@pytest.mark.parametrize(
    ("chart", "relation"), [(score_chart, "core.rfm_scores"), (segment_chart, "marts.rfm_segments")]
)
def test_the_chart_needs_a_snapshot(
    chart: Callable[[Connection], str | None], relation: str, connection: Connection, settings: Settings
) -> None:
    project: Project = load_sql(settings)
    names = project.seeds["rfm_segment_names"]
    load_seed(connection, names, names.relation)
    connection.execute(
        f"create table {relation} (as_of timestamp, customer_id varchar, segment varchar, monetary decimal(18, 4))"
    )
    assert chart(connection) is None
    connection.execute(f"insert into {relation} values ('2024-01-08', 'anna', 'loyal', 12.5)")
    picture = chart(connection)
    assert picture is not None and picture.startswith(
        "![segments by customers and revenue](data:image/png;base64,"
    )
    assert len(picture) < 100_000


def test_undetermined_is_a_name_without_a_cell() -> None:
    assert "undetermined" in set(NAMES) and "undetermined" not in set(MAP["segment"])
    assert segment_map_problems(MAP, NAMES[NAMES != "undetermined"]) == []
