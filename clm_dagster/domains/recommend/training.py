"""Functions that the engine of trained models calls to train recommendations: the rows of `models.recommender_model`.

Belongs here: the functions that determine rows. Does not: the definition of the model (`tables`), the evaluation
(`evaluate`), what Dagster and MLflow show (`notes`), SQL (`queries`), lists of customers (`recommendations`).
"""

from dataclasses import dataclass

import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.recommend.candidates import LISTS
from clm_dagster.domains.recommend.evaluate import EXAMPLES, RANKER, EvaluationResult, evaluate_candidates
from clm_dagster.domains.recommend.interactions import Interactions
from clm_dagster.domains.recommend.names import BASELINES, LIST_METRICS
from clm_dagster.domains.recommend.queries import read_past, read_products, read_segments
from clm_dagster.domains.recommend.ranking import Ranker
from clm_dagster.domains.recommend.served import example
from clm_dagster.domains.recommend.table_settings import RankerSettings
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.platform.tracking import data_hash
from clm_dagster.platform.trained_models.metrics import Interval, Metric, metrics_of
from clm_dagster.platform.trained_models.samples import ALL_CUSTOMERS, TrainingSample
from clm_dagster.platform.trained_models.snapshots import newest_mature_snapshot, read_sample
from clm_dagster.platform.trained_models.training import Report
from clm_dagster.statistics.evaluation import Difference, EvaluationError, Verdict


@dataclass(frozen=True)
class TrainingInputs:
    """Inputs of a training: purchases before as_of, names of products, segments at the evaluation instant.

    sample: whose purchases they are.
    """

    past: Interactions
    products: pd.DataFrame
    segments: pd.Series
    sample: TrainingSample = ALL_CUSTOMERS


def read_training(reading: Reading[RankerSettings]) -> TrainingInputs:
    """Read the inputs of a training. Raise EvaluationError for a shop without a purchase."""
    connection = reading.connection
    sample = read_sample(reading, reading.settings.train_customers, "CLM_RECOMMEND_TRAIN_CUSTOMERS")
    past = read_past(connection, reading.as_of, share=sample.share)
    if past is None:
        raise EvaluationError(f"no customer bought anything before {reading.day}")
    return TrainingInputs(
        past,
        read_products(connection, reading.project, reading.as_of),
        read_segments(
            connection, newest_mature_snapshot(reading.day, reading.settings.horizon_days), sample.share
        ),
        sample,
    )


def sample_of(inputs: TrainingInputs) -> TrainingSample:
    """Return the sample of a training."""
    return inputs.sample


def evaluate(work: Work[RankerSettings], inputs: TrainingInputs) -> EvaluationResult:
    """Evaluate the candidates, in one thread so that sums do not depend on the machine."""
    with threadpool_limits(limits=1):
        return evaluate_candidates(inputs.past, inputs.products, work.settings, inputs.segments)


def verdict(_: TrainingInputs, result: EvaluationResult, champion: object, is_newest: bool) -> Verdict:
    """Return whether the ranker becomes champion."""
    return result.verdict(is_newest)


def report(_: Work[RankerSettings], inputs: TrainingInputs, result: EvaluationResult) -> Report[Ranker]:
    """Return the table row, the fitted model and the metrics of a training."""
    ranker = result.ranker
    return Report(
        fitted=ranker,
        example=example(result.example, EXAMPLES),
        data_hash=_hash_inputs(inputs.past, inputs.products),
        trained_as_of=ranker.days[-1],
        row={
            "trained_as_of": ranker.days[-1],
            "tested_as_of": result.evaluated_at,
            "training_snapshots": len(ranker.days),
            "customers": result.customers,
            "products": result.products,
            **{f"test_{m}_{name}": float(result.measure(name)[m]) for name in LISTS for m in LIST_METRICS},
            **{
                f"baseline_ndcg_{name}": float(result.measure(name, BASELINES[name])["ndcg"])
                for name in LISTS
            },
        },
        metrics=[*_candidate_metrics(result), *_segment_metrics(result)],
    )


def _hash_inputs(past: Interactions, products: pd.DataFrame) -> str:
    """Return the hash of the training data: purchases and products."""
    numbers = {name: getattr(past, name) for name in ("customer", "product", "age", "quantity")}
    parts = [pd.DataFrame(numbers), pd.DataFrame({"id": past.customers}), pd.DataFrame({"id": past.products})]
    return "".join(map(data_hash, [*parts, products]))


def _candidate_metrics(result: EvaluationResult) -> list[Metric]:
    """Return the metrics of every candidate by target and list: `window/next_best/ndcg`."""
    found: list[Metric] = []
    for row in result.evaluation.table.to_dict("records"):
        name, method = row["list"], row["method"]
        values: dict[str, float | Interval | None] = {
            metric: Difference(row[metric], row[f"{metric}_low"], row[f"{metric}_high"])
            for metric in LIST_METRICS
        }
        values |= {
            "coverage": row["coverage"],
            "novelty": row["novelty"],
            "customers": row["customers"],
            "is_ranker": method == RANKER,
            "is_baseline": method == BASELINES[name],
            "seconds": round(result.candidates[method].seconds, 3),
        }
        if row["target"] == "window":
            values["ndcg_over_baseline"] = result.evaluation.gains[(name, method)]
        found += metrics_of(method, values, f"{row['target']}/{name}")
    return found


def _segment_metrics(result: EvaluationResult) -> list[Metric]:
    """Return the metrics of every candidate by customer segment and list: `next_best/ndcg`."""
    found: list[Metric] = []
    for row in result.evaluation.by_segment.to_dict("records"):
        # Fifteen decimals, so that the values stay equal to those of earlier versions.
        values = {name: round(row[name] * 1e15) / 1e15 for name in LIST_METRICS}
        values["customers"] = row["customers"]
        found += metrics_of(row["method"], values, row["list"], "segment", row["segment"])
    return found
