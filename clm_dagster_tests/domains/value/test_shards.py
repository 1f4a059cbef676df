"""Expected spend in shards is that of all buyers at once, to the last bit."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.value.candidates import candidates
from clm_dagster.domains.value.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.value.score import ScoreInputs, score
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.parquet_buffer import ParquetBuffer
from clm_dagster.platform.python_tables.shards import Shards
from clm_dagster.platform.python_tables.shelf import Shelf
from clm_dagster.platform.trained_models.champions import WHOLE, Choice, Served
from clm_dagster.platform.trained_models.scoring import Scoring
from clm_dagster.platform.trained_models.snapshots import SnapshotSettings
from clm_dagster_tests.domains.value.shop import SETTINGS, TEST, Simulated
from clm_dagster_tests.domains.value.test_baseline import REFUSED
from clm_dagster_tests.sharded import output_of, plain, random_cuts, shards_of, split_rows

VALUE = "marts.customer_value"


@pytest.fixture(scope="module", params=["ridge_sqrt", "mlp", "boosting_ratio"])
def result(request: pytest.FixtureRequest, simulated: Simulated) -> EvaluationResult:
    features, labels, plan = simulated
    chosen = [one for one in candidates() if one.name in ("btyd", request.param)]
    return evaluate_candidates(features, labels, plan, SETTINGS, chosen)


@pytest.mark.parametrize("is_baseline", [False, True])
def test_rows_and_metadata_do_not_depend_on_shards(
    simulated: Simulated,
    result: EvaluationResult,
    project: Project,
    tmp_path: Path,
    is_baseline: bool,
) -> None:
    features, labels, _ = simulated
    now = features[(features.as_of == pd.Timestamp(TEST)) & (features.order_days > 0)]
    known = labels[labels.as_of + pd.Timedelta(days=SETTINGS.horizon_days) <= pd.Timestamp(TEST)]
    choice = REFUSED if is_baseline else Choice(REFUSED.row)
    for share in (0.01, 0.3, 1.0):
        rng = np.random.default_rng(int(100 * share))
        some = now[rng.random(len(now)) < share]
        found = []
        for shards in (Shards(), shards_of(some, random_cuts(rng, len(some)))):
            work: Any = SimpleNamespace(
                columns=[name for name in project.nodes[VALUE].types if name != "as_of"],
                day=TEST,
                settings=SnapshotSettings(SETTINGS, 10_000),
                shelf=lambda count: Shelf(tmp_path if count > 1 else None),
            )
            scoring = Scoring(work, {WHOLE: Served(choice, result.model, "past_rate")})
            history = features[features.as_of <= pd.Timestamp(TEST)]
            computed = score(scoring, ScoreInputs(split_rows(some, shards, tmp_path), history, known))
            found.append(output_of(computed, project, VALUE, tmp_path))
        (whole, rows), (parts, same) = found
        assert isinstance(parts.rows, ParquetBuffer)
        pd.testing.assert_frame_equal(rows, same, check_exact=True)
        assert plain(dict(whole.metadata)) == plain(dict(parts.metadata))
