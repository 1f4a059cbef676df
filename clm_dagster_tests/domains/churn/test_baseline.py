"""Recency alone serves where no model passed its gate: its name, and its values against pandas."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.metrics import roc_auc_score

from clm_dagster.domains.churn.candidates import candidates
from clm_dagster.domains.churn.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.churn.model import forecast_base_rate
from clm_dagster.domains.churn.registered import TRUSTED
from clm_dagster.domains.churn.score import ScoreInputs, score
from clm_dagster.domains.churn.served import pack, unpack
from clm_dagster.domains.churn.table_settings import ScoreSettings
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.in_shards import in_one_step
from clm_dagster.platform.python_tables.shards import CustomerRows
from clm_dagster.platform.python_tables.shelf import Shelf
from clm_dagster.platform.trained_models.champions import WHOLE, Choice, Served
from clm_dagster.platform.trained_models.scoring import NothingToScoreError, Scoring
from clm_dagster.statistics.evaluation import EvaluationPlan
from clm_dagster_tests.domains.churn.shop import SETTINGS, TEST

Simulated = tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]
ROW = pd.Series(
    {
        "model_name": "models.churn_model",
        "model_version": "4",
        "as_of": pd.Timestamp(TEST),
        "training_data_hash": "h",
    }
)


@pytest.fixture(scope="module")
def result(simulated: Simulated) -> EvaluationResult:
    chosen = [one for one in candidates() if one.name in ("recency", "logistic", "bgnbd")]
    return evaluate_candidates(*simulated, SETTINGS, chosen)


def scoring(project: Project, choice: Choice, fitted: Any) -> Scoring[Any, Any]:
    columns = [name for name in project.nodes["marts.churn_scores"].types if name != "as_of"]
    work: Any = SimpleNamespace(
        columns=columns,
        day=TEST,
        label=str(TEST),
        settings=ScoreSettings(SETTINGS, 10_000, 0.2),
        shelf=lambda shards: Shelf(),
    )
    return Scoring(work, {WHOLE: Served(choice, fitted, "recency")})


def customers(features: pd.DataFrame) -> pd.DataFrame:
    chosen = features[(features.as_of == pd.Timestamp(TEST)) & (features.recency_days <= 365)]
    return chosen.assign(expected_margin=np.nan)


def inputs(simulated: Simulated) -> ScoreInputs:
    features, labels, _ = simulated
    return ScoreInputs(
        features=CustomerRows.whole(customers(features)),
        history=features[features.as_of < pd.Timestamp(TEST)],
        labels=labels[labels.as_of + pd.Timedelta(days=SETTINGS.horizon_days) <= pd.Timestamp(TEST)],
        bands=pd.DataFrame({"risk_band": ["low", "high"], "from_probability": [0.0, 0.5]}),
        previous_top=pd.DataFrame(columns=["as_of", "customer_id", "is_active"]),
    )


def test_the_baseline_ranks_by_recency_at_the_forecast_rate(
    simulated: Simulated, result: EvaluationResult, project: Project
) -> None:
    given = inputs(simulated)
    output = in_one_step(
        score(scoring(project, Choice(ROW, "refused", is_baseline=True), result.model), given)
    )
    rows = output.rows
    assert isinstance(rows, pd.DataFrame)
    assert set(rows.model_name) == {"recency_baseline"} and set(rows.model_version) == {"4"}
    both = rows.merge(given.features.shard(0)[["customer_id", "recency_days"]], on="customer_id")
    by_recency = both.groupby("recency_days").churn_probability.agg(["min", "max"])
    assert np.allclose(by_recency["min"], by_recency["max"]) and (by_recency["max"].diff().dropna() > 0).all()
    known = pd.concat([given.history, given.features.shard(0)])
    forecast = forecast_base_rate(
        known, given.labels, TEST, SETTINGS.horizon_days, SETTINGS.active_days, SETTINGS.spacing_days
    )
    assert both.churn_probability.mean() == pytest.approx(forecast.rate, abs=1e-6)
    # Recency is the only reason, and the ranking is that of recency.
    assert both.reason_1.dropna().str.contains("no order for").all() and both.reason_2.isna().all()
    labels = simulated[1][simulated[1].as_of == pd.Timestamp(TEST)].set_index("customer_id").churned
    churned = labels.reindex(both.customer_id).to_numpy()
    assert roc_auc_score(churned, both.churn_probability) == pytest.approx(
        roc_auc_score(churned, both.recency_days)
    )


def test_a_champion_serves_under_the_registered_name(
    simulated: Simulated, result: EvaluationResult, project: Project
) -> None:
    output = in_one_step(score(scoring(project, Choice(ROW), result.model), inputs(simulated)))
    rows = output.rows
    assert isinstance(rows, pd.DataFrame) and set(rows.model_name) == {"models.churn_model"}
    expected = result.model.scores(inputs(simulated).features.shard(0), rows.churn_probability.mean())
    assert rows.churn_probability.to_list() == pytest.approx(expected.churn_probability.to_list(), abs=1e-6)


def test_before_the_first_training_nothing_is_scored(simulated: Simulated, project: Project) -> None:
    with pytest.raises(NothingToScoreError, match="Neither a model nor the recency baseline was fitted"):
        score(scoring(project, Choice(None, "not trained", is_baseline=True), None), inputs(simulated))


def test_the_file_of_a_model_holds_its_baseline(simulated: Simulated, result: EvaluationResult) -> None:
    back = unpack(skops.io.loads(skops.io.dumps(pack(result.model)), trusted=list(TRUSTED)))
    assert back.baseline is not None and result.model.baseline is not None
    frame = inputs(simulated).features.shard(0)
    pd.testing.assert_frame_equal(back.baseline.scores(frame, 0.4), result.model.baseline.scores(frame, 0.4))
