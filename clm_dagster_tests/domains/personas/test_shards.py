"""Personas in shards are those of all customers at once, to the last bit."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clm_dagster.domains.personas.model import TrainingResult, train
from clm_dagster.domains.personas.queries import AssignmentInputs
from clm_dagster.domains.personas.score import assign, describe
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.shards import Shards
from clm_dagster.platform.python_tables.shelf import Shelf
from clm_dagster_tests.domains.personas.planted import planted
from clm_dagster_tests.sharded import output_of, plain, shards_of, split_rows

PERSONAS, PROFILES = "marts.personas", "marts.persona_profiles"
ROW = pd.Series({"model_name": "models.persona_model", "model_version": "1", "as_of": "2024-01-08"})


@pytest.fixture(scope="module")
def trained() -> TrainingResult:
    features, categories, _ = planted()
    return train(features, categories, None)


@given(seed=st.integers(0, 1_000), share=st.floats(0.01, 1), cuts=st.lists(st.integers(0, 700), max_size=6))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_and_metadata_do_not_depend_on_shards(
    trained: TrainingResult, project: Project, tmp_path: Path, seed: int, share: float, cuts: list[int]
) -> None:
    features, categories, _ = planted(seed=seed)
    some = features[np.random.default_rng(seed).random(len(features)) < share]
    if some.empty:
        return

    def work(relation: str) -> Any:
        return SimpleNamespace(
            columns=[name for name in project.nodes[relation].types if name != "as_of"],
            label="a snapshot",
            shelf=lambda shards: Shelf(tmp_path if shards > 1 else None),
            pictures=lambda drawings: {},
        )

    found, profiles = [], []
    for shards in (Shards(), shards_of(some, cuts)):
        inputs = AssignmentInputs(
            split_rows(some, shards, tmp_path),
            split_rows(categories, shards, tmp_path),
            trained.model,
            ROW,
            pd.DataFrame(),
        )
        output, rows = output_of(assign(work(PERSONAS), inputs), project, PERSONAS, tmp_path)
        found.append((rows, plain(dict(output.metadata))))
        assigned = rows[["customer_id", "persona_id"]]
        stored = AssignmentInputs(inputs.customers, inputs.categories, inputs.model, inputs.row, assigned)
        profiles.append(describe(work(PROFILES), stored).rows)
    (rows, metadata), (same, parts) = found
    pd.testing.assert_frame_equal(rows, same, check_exact=True)
    assert metadata == parts
    pd.testing.assert_frame_equal(*profiles, check_exact=True)
