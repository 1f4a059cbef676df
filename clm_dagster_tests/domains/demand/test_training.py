"""The functions of demand that the engine of trained models calls, without Dagster, DuckDB and MLflow."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time
from pathlib import Path

import pandas as pd
import pytest

from clm_dagster.domains.demand import notes, tables, training
from clm_dagster.domains.demand.evaluation import DemandEvaluation
from clm_dagster.domains.demand.names import METRICS, MODEL
from clm_dagster.domains.demand.queries import SeriesInputs
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster.domains.demand.tables import demand_tables
from clm_dagster.platform.build_ledger.code_version import closure
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.partition import PartitionContext, Work
from clm_dagster.platform.resources import load_sql, tracking_of
from clm_dagster.settings import load_settings
from clm_dagster_tests.domains.demand.shop import AS_OF, only_methods, shop

FEW = ("seasonal_naive", "eight_week_mean", "regression", "theta")
NO_PROMOTIONS = pd.DataFrame(columns=["level", "key", "day", "discount"])


@pytest.fixture(scope="module")
def project() -> Project:
    return load_sql(load_settings())


def work_at(project: Project, as_of: date, folder: Path) -> Work[DemandSettings]:
    partition = PartitionContext(
        str(as_of), datetime.combine(as_of, time.min), None, Version("of a test"), True
    )
    return Work(
        partition=partition,
        settings=DemandSettings(),
        node=project.nodes[MODEL],
        code_version="of a test",
        tracking=tracking_of(load_settings()),
        log=lambda _: None,
        threads=1,
        data_dir=folder,
        dagster_run_id="of a test",
    )


Done = tuple[Work[DemandSettings], SeriesInputs, DemandEvaluation]


@pytest.fixture(scope="module")
def done(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    work = work_at(project, AS_OF, tmp_path_factory.mktemp("data"))
    inputs = SeriesInputs(shop(), NO_PROMOTIONS)
    with only_methods(*FEW):
        yield work, inputs, training.evaluate(work, inputs)


def test_the_report_fills_the_table_and_declares_its_metrics(done: Done) -> None:
    work, inputs, result = done
    found = training.report(work, inputs, result)
    engine = {
        "model_name",
        "model_version",
        "mlflow_run_id",
        "model_uri",
        "training_data_hash",
        "horizon_days",
        "accepted",
        "accepted_day",
        "accepted_week",
        "suspected_leak",
        "sample_unit",
        "sample_available",
        "sample_used",
        "said",
    }
    assert engine | set(found.row) == set(work.columns)
    assert {metric.metric.rpartition("/")[2] for metric in found.metrics} == set(METRICS)
    assert {metric.candidate for metric in found.metrics} == {*FEW, "chosen"}
    by_name = {(metric.candidate, metric.metric): metric.value for metric in found.metrics}
    table = result.table
    rows = table[(table.period == "day") & (table.level == "product") & (table.method == "theta")]
    assert by_name[("theta", "day/product/mase")] == pytest.approx(rows.mase.mean())
    assert by_name[("theta", "day/product/series")] == len(rows)
    kept = pd.DataFrame(json.loads(str(found.row["accuracy"])))
    assert set(kept.method) == {"chosen", "seasonal_naive", "eight_week_mean"}


def test_notes_show_every_level(done: Done) -> None:
    work, inputs, result = done
    assert [run.name for run in notes.candidate_runs(work, inputs, result)] == ["product", "shop"]
    shown = notes.notes(work, inputs, result)
    # No forecast uses an ARIMA, so none is explained.
    assert set(shown.texts) == {"series.csv", "held_out.csv"} and not shown.figures
    assert "candidates" in shown.drawings
    assert "| **chosen** |" in shown.tables["evaluation"]
    assert {check.check_name: check.passed for check in shown.checks}["contest_was_held"]


def test_all_of_the_largest_arimas_are_explained_on_request(done: Done) -> None:
    work, inputs, result = done
    shown = notes.notes(replace(work, explains_all=True), inputs, result)
    assert {"arima/days_of_revenue.txt", "arima/weeks_of_units.txt"} <= set(shown.texts)
    assert "arima/weeks_of_units.png" in shown.figures


def test_the_arima_of_the_largest_series_is_explained_where_it_serves(done: Done) -> None:
    work, inputs, _ = done
    with only_methods("seasonal_naive", "eight_week_mean", "arima"):
        with_arima = training.evaluate(replace(work, code_version="with arima"), inputs)
    assert "arima" in with_arima.policies["day"].methods_of(("shop", "all", "revenue"))
    assert set(notes.notes(work, inputs, with_arima).figures) == {
        "arima/days_of_revenue.png",
        "arima/weeks_of_revenue.png",
    }


def test_a_young_shop_gets_a_model_without_an_evaluation(project: Project, tmp_path: Path) -> None:
    as_of = date(2023, 3, 1)
    work, inputs = work_at(project, as_of, tmp_path), SeriesInputs(shop(as_of=as_of), NO_PROMOTIONS)
    with only_methods(*FEW):
        result = training.evaluate(work, inputs)
        found, shown = training.report(work, inputs, result), notes.notes(work, inputs, result)
    assert found.fitted and not found.metrics and found.row["origins"] == 0
    verdict = training.verdict(inputs, result, None, True)
    assert not verdict.accepted and "too short" in str(verdict)
    assert not {check.check_name: check.passed for check in shown.checks}["contest_was_held"]
    assert not shown.drawings and "too short" in shown.tables["evaluation"]


def test_many_series_use_processes_that_do_not_change_the_version(project: Project) -> None:
    assert (training.processes(59, 4), training.processes(60, 4)) == (1, 4)
    assert training.processes(60, 0) >= 1
    one, other = (demand_tables(project, load_settings(threads=threads)) for threads in (1, 4))
    assert [table.code_version for table in one] == [table.code_version for table in other]
    network = tables.demand_model(replace(DemandSettings(), lstm=True)).table(project)
    assert network.code_version != one[0].code_version


def test_a_training_depends_on_its_methods_and_a_calendar_does_not(project: Project) -> None:
    tables = {table.relation: table for table in demand_tables(project, load_settings())}

    def modules(relation: str) -> set[str]:
        table = tables[relation]
        return {module.rpartition(".")[2] for module, _ in closure(table.code or (table.read, table.compute))}

    decisive = {
        "arima",
        "css",
        "local_models",
        "reconciliation",
        "gates",
        "backtest",
        "policy",
        "lstm",
        "series",
    }
    assert decisive <= modules("models.demand_model")
    assert {"reconciliation", "predict", "policy", "queries"} <= modules("marts.demand_forecasts")
    assert not {"arima", "backtest", "lstm"} & modules("marts.demand_calendar")
