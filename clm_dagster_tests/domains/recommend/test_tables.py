"""The domain's tables: the output of a training, empty tables without data, and code versions."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clm_dagster import platform
from clm_dagster.domains.recommend.affinity import Pairs
from clm_dagster.domains.recommend.baskets import PairInputs, RuleInputs, add_pair_names, find_rules
from clm_dagster.domains.recommend.evaluate import RANKER, EvaluationResult
from clm_dagster.domains.recommend.interactions import Interactions
from clm_dagster.domains.recommend.names import (
    AFFINITY,
    BASELINES,
    LIST_METRICS,
    LISTS,
    METRICS,
    MODEL,
    POPULAR,
    RULES,
    SIMILAR,
)
from clm_dagster.domains.recommend.notes import candidate_runs, notes
from clm_dagster.domains.recommend.recommendations import ListInputs, recommend_to_customers
from clm_dagster.domains.recommend.registered import REGISTERED
from clm_dagster.domains.recommend.similar import CatalogueInputs, find_similar
from clm_dagster.domains.recommend.table_settings import RankerSettings
from clm_dagster.domains.recommend.tables import recommend_tables
from clm_dagster.domains.recommend.training import TrainingInputs, evaluate, report, verdict
from clm_dagster.domains.recommend.visitors import VisitorInputs, recommend_by_country
from clm_dagster.platform.build_ledger.code_version import closure
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.dbt_project.building import compile_model
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.output import TableOutput, write_output
from clm_dagster.platform.python_tables.partition import PartitionContext, Work
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.trained_models.champions import Choice, Served
from clm_dagster.platform.trained_models.metrics import side_rows
from clm_dagster.platform.trained_models.scoring import ScoreSettings, Scoring
from clm_dagster.platform.trained_models.training import Report
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.statistics.association import Threshold
from clm_dagster_tests.domains.recommend.shop import AS_OF

SMALL = RankerSettings(horizon_days=40, spacing_days=40, snapshots=2, iterations=15, year_ago=False)
INSTANT = datetime.combine(AS_OF, datetime.min.time())
# Code of the engine runs as well; a table's version covers the domain's code and everything that it calls.
DECISIVE = ("clm_dagster.domains.", "clm_dagster.statistics.")
PACKAGE = str(Path(platform.__file__ or "").parent.parent)
Symbols = set[tuple[str, str]]
Trained = tuple[EvaluationResult, Report[Any], Symbols]


@contextmanager
def executed() -> Iterator[Symbols]:
    """Collect the top-level functions and classes that are called in the block, in any thread."""
    found: Symbols = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code, module = frame.f_code, str(frame.f_globals.get("__name__"))
        if event == "call" and code.co_filename.startswith(PACKAGE) and module.startswith(DECISIVE):
            found.add((module, code.co_qualname.split(".")[0]))

    sys.setprofile(note)
    threading.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


NO_MODEL = Choice(None, "no model", is_baseline=True)


def served_by(choice: Choice, model: Any) -> dict[str, Served[Any]]:
    """Return both lists served by one model, or by their baselines."""
    return {name: Served(choice, model, baseline) for name, baseline in BASELINES.items()}


@pytest.fixture
def tables(project: Project, settings: Settings) -> dict[str, AnyTable]:
    return {table.relation: table for table in recommend_tables(project, settings)}


def work_for(table: AnyTable, folder: Path) -> Work[Any]:
    """Return the argument that a step passes to the computation of `table`, without MLflow."""
    partition = PartitionContext(str(AS_OF), INSTANT, None, Version("v"), is_newest=True)
    tracking: Any = None
    messages: list[str] = []
    settings = table.settings.domain if isinstance(table.settings, ScoreSettings) else table.settings
    return Work(
        partition, settings, table.node, "code", tracking, messages.append, 2, folder, "a Dagster run"
    )


def rows_of(output: TableOutput, connection: Connection) -> pd.DataFrame:
    rows = output.rows
    return rows if isinstance(rows, pd.DataFrame) else connection.frame(rows.query)


@pytest.fixture(scope="module")
def products(names: pd.DataFrame) -> pd.DataFrame:
    return names.assign(category=None)


@pytest.fixture(scope="module")
def customers(past: Interactions) -> pd.DataFrame:
    """All buyers, and one customer without a purchase."""
    ids = [*past.customers, "new"]
    return pd.DataFrame(
        {"customer_id": ids, "country": ["FR", "DE"] * (len(ids) // 2) + ["MT"], "segment": None}
    )


@pytest.fixture(scope="module")
def inputs(past: Interactions, products: pd.DataFrame) -> TrainingInputs:
    segments = pd.Series({f"c{c:03d}": "odd" if c % 2 else "even" for c in range(60)})
    return TrainingInputs(past, products, segments)


@pytest.fixture(scope="module")
def trained(inputs: TrainingInputs) -> Trained:
    """A small training: its result, its report, and the executed definitions."""
    work: Any = SimpleNamespace(settings=SMALL)
    with executed() as symbols:
        result = evaluate(work, inputs)
        made = report(work, inputs, result)
        verdict(inputs, result, None, True)
        REGISTERED.unpack(REGISTERED.pack(result.ranker))
    return result, made, symbols


# ---------------------------------------------------------------------------------------- versions


def test_the_model_version_covers_all_executed_code(tables: dict[str, AnyTable], trained: Trained) -> None:
    *_, symbols = trained
    assert ("clm_dagster.domains.recommend.binning", "bin_numbers") in symbols
    assert ("clm_dagster.statistics.evaluation.intervals", "mean_intervals") in symbols
    assert symbols <= closure(tables[MODEL].code)


def test_score_versions_cover_all_executed_code(
    tables: dict[str, AnyTable],
    trained: Trained,
    past: Interactions,
    products: pd.DataFrame,
    customers: pd.DataFrame,
    tmp_path: Path,
) -> None:
    result, *_ = trained
    packed = REGISTERED.pack(result.ranker)
    row = pd.Series({"model_name": MODEL, "model_version": "1", "as_of": pd.Timestamp(AS_OF)})
    trained_lists = served_by(Choice(row), REGISTERED.unpack(packed))
    work = {name: work_for(table, tmp_path) for name, table in tables.items()}
    lists, cold = ListInputs(past, products, customers), VisitorInputs(past, customers, products)
    baskets = pd.DataFrame({"order_id": np.repeat(np.arange(40), 2), "product_id": ["p001", "p002"] * 40})
    columns = [name for name in work[AFFINITY].columns if name not in ("name", "other_name")]
    pairs = Pairs(pd.DataFrame(columns=columns), Threshold(5, 40, "least"), 1, False)
    computed: dict[str, Callable[[], object]] = {
        LISTS: lambda: [
            recommend_to_customers(Scoring(work[LISTS], trained_lists), lists),
            recommend_to_customers(Scoring(work[LISTS], served_by(NO_MODEL, None)), lists),
        ],
        POPULAR: lambda: recommend_by_country(work[POPULAR], cold),
        SIMILAR: lambda: find_similar(work[SIMILAR], CatalogueInputs(past, products)),
        AFFINITY: lambda: add_pair_names(work[AFFINITY], PairInputs(pairs, products)),
        RULES: lambda: find_rules(work[RULES], RuleInputs(baskets, baskets, products)),
    }
    for name, compute in computed.items():
        with executed() as symbols:
            compute()
        table = tables[name]
        assert symbols and symbols <= closure(table.code or (table.read, table.compute)), name


# ------------------------------------------------------------------------------ output of a training


def test_the_row_matches_the_evaluation(tables: dict[str, AnyTable], trained: Trained) -> None:
    result, made, _ = trained
    assert set(made.row) <= set(tables[MODEL].node.types)
    assert made.row["test_ndcg_discover"] == result.measure("discover")["ndcg"]
    assert made.row["baseline_ndcg_next_best"] == result.measure("next_best", "buy_again")["ndcg"]
    assert made.trained_as_of == made.row["tested_as_of"] == result.evaluated_at
    assert made.fitted is result.ranker and made.example is not None
    assert list(made.example) == result.ranker.columns and len(made.example)


def test_sql_shows_the_metrics_of_the_evaluation(
    connection: Connection, project: Project, trained: Trained
) -> None:
    result, made, _ = trained
    node = project.nodes[MODEL]
    sides = side_rows(project, MODEL, made.metrics, METRICS)
    partition = PartitionContext(str(AS_OF), INSTANT, None, Version("v"), is_newest=True)
    row = {"model_version": "7", "horizon_days": 40, **made.row}
    columns = [name for name in node.types if name != "as_of"]
    output = TableOutput(pd.DataFrame([row]).reindex(columns=columns), sides=sides)
    write_output(connection, node, partition, output, "a run")
    found = {
        name: connection.frame(compile_model(project, project.model(name)))
        for name in ("recommender_contest", "recommender_by_segment")
    }
    for name, frame in found.items():
        documented = [column.name for column in project.model(name).columns]
        assert list(frame) == documented and set(frame["model_version"]) == {"7"}

    keys = ["method", "list", "target"]
    shown = found["recommender_contest"].rename(columns={"contestant": "method"}).set_index(keys).sort_index()
    evaluation = result.evaluation.table.set_index(keys).sort_index()
    for column in evaluation:
        np.testing.assert_array_equal(shown[column], evaluation[column], err_msg=str(column))
    assert set(shown.index[shown["is_ranker"]].get_level_values("method")) == {RANKER}
    baselines = shown[shown["is_baseline"]].reset_index()
    assert dict(zip(baselines["list"], baselines["method"], strict=True)) == BASELINES
    gains = shown["ndcg_over_baseline_low"].unstack("target")
    assert gains["next_basket"].isna().all()
    assert gains["window"].to_dict() == {(m, n): g.low for (n, m), g in result.evaluation.gains.items()}

    keys = ["method", "list", "segment"]
    parts = (
        found["recommender_by_segment"].rename(columns={"contestant": "method"}).set_index(keys).sort_index()
    )
    expected = result.evaluation.by_segment.set_index(keys).sort_index()
    assert (parts["customers"] == expected["customers"]).all()
    pd.testing.assert_frame_equal(parts[[*LIST_METRICS]], expected[[*LIST_METRICS]], rtol=1e-14)


def test_mlflow_has_every_candidate_with_its_metrics(trained: Trained) -> None:
    result, *_ = trained
    work: Any = SimpleNamespace(explains_all=False)
    runs = {run.name: run for run in candidate_runs(work, None, result)}
    assert set(runs) == set(result.candidates)
    assert {name for name, run in runs.items() if run.figures} == {RANKER, "buy_again", "popularity"}
    everything: Any = SimpleNamespace(explains_all=True)
    assert all(run.figures for run in candidate_runs(everything, None, result))
    gain = result.evaluation.gains[("discover", "ease")]
    assert runs["ease"].metrics["ndcg_over_popularity/discover/low"] == gain.low
    assert runs["ease"].metrics["window/next_best/hit"] == result.measure("next_best", "ease")["hit"]
    seen = notes(work, None, result)
    assert seen.metrics == runs[RANKER].metrics and set(seen.documents) == {"evaluation.json"}
    assert seen.evaluated.startswith(
        f"{len(runs)} methods, evaluated on {result.customers} customers of the 40 days"
    )


# ------------------------------------------------------------------------------------------- scores


def test_lists_name_their_model_or_baseline(
    tables: dict[str, AnyTable],
    trained: Trained,
    past: Interactions,
    products: pd.DataFrame,
    customers: pd.DataFrame,
    connection: Connection,
    tmp_path: Path,
) -> None:
    result, *_ = trained
    work, given = work_for(tables[LISTS], tmp_path), ListInputs(past, products, customers)
    row = pd.Series({"model_name": MODEL, "model_version": "3", "as_of": pd.Timestamp("2024-05-27")})
    fitted = REGISTERED.unpack(REGISTERED.pack(result.ranker))
    for choice, model, version in ((Choice(row), fitted, "3"), (NO_MODEL, None, "none")):
        output = recommend_to_customers(Scoring(work, served_by(choice, model)), given)
        lists = rows_of(output, connection)
        bought = lists[lists["customer_id"] != "new"]
        names = {MODEL} if model else {"buy_again_baseline", "popularity_baseline"}
        assert set(bought["model_name"]) == names
        assert set(bought["model_version"]) == {version}
        assert output.metadata["next_best model_version"] == version
        assert output.metadata["next_best model_name"] == (MODEL if model else "buy_again_baseline")
        assert bought["model_as_of"].notna().all() == (model is not None)
        cold = lists[lists["customer_id"] == "new"]
        assert set(cold["model_name"]) == {"cold_start"} and cold["model_as_of"].isna().all()
        assert output.metadata["cold_customers"] == 1 and all(check.passed for check in output.checks)
        assert output.metadata["customers"] == len(customers)
    half = {
        "next_best": Served(Choice(row), fitted, "buy_again"),
        "discover": Served(NO_MODEL, None, "popularity"),
    }
    lists = rows_of(recommend_to_customers(Scoring(work, half), given), connection)
    bought = lists[lists["customer_id"] != "new"]
    assert bought.groupby("list")["model_name"].unique().map(list).to_dict() == {
        "discover": ["popularity_baseline"],
        "next_best": [MODEL],
    }


def test_a_shop_before_its_first_purchase_has_empty_tables(
    tables: dict[str, AnyTable], products: pd.DataFrame, customers: pd.DataFrame, tmp_path: Path
) -> None:
    work = {name: work_for(table, tmp_path) for name, table in tables.items()}
    no_baskets = pd.DataFrame(columns=["order_id", "product_id"])
    outputs = {
        LISTS: recommend_to_customers(
            Scoring(work[LISTS], served_by(NO_MODEL, None)), ListInputs(None, products, customers)
        ),
        POPULAR: recommend_by_country(work[POPULAR], VisitorInputs(None, customers, products)),
        SIMILAR: find_similar(work[SIMILAR], CatalogueInputs(None, products)),
        RULES: find_rules(work[RULES], RuleInputs(no_baskets, no_baskets, products)),
    }
    assert all(len(output.rows) == 0 for output in outputs.values())
    failed = {c.check_name: c.description for o in outputs.values() for c in o.checks if not c.passed}
    assert set(failed) == {"every_customer_has_lists", "rules_could_be_made"}
    assert "no baskets to mine rules from" in (failed["rules_could_be_made"] or "")
