"""The trained persona model, as the engine of trained models runs it.

Belongs here: the functions that the engine calls: the row of `models.persona_model`, metadata and plots. Does not
belong here: clustering (`model`), SQL (`queries`), assignment of customers (`score`).
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from clm_dagster.domains.personas import checks, plots
from clm_dagster.domains.personas.features import habits
from clm_dagster.domains.personas.model import TrainingResult, train
from clm_dagster.domains.personas.queries import TrainingInputs, read_training
from clm_dagster.domains.personas.registered import REGISTERED
from clm_dagster.domains.personas.table_settings import TrainingSettings
from clm_dagster.platform.charts import Drawing
from clm_dagster.platform.markdown import markdown_table
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.tracking import data_hash
from clm_dagster.platform.trained_models.metrics import Metric, metrics_of
from clm_dagster.platform.trained_models.samples import TrainingSample
from clm_dagster.platform.trained_models.training import CandidateRun, Notes, Report, TrainedModel

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

METRICS = ("silhouette", "stability", "clusters", "noise_share", "agreement")


def persona_model(
    settings: TrainingSettings,
) -> "TrainedModel[TrainingSettings, TrainingInputs, TrainingResult, Pipeline]":
    """Return the definition of the trained persona model. The newest model always serves.

    Its gate is inside: without clear groups it has a single persona.
    """
    return TrainedModel(
        registered=REGISTERED,
        reads=("customer_features", "customer_categories"),
        settings=settings,
        horizon_days=None,
        read=read_training,
        sample=sample_of,
        evaluate=evaluate,
        report=report,
        notes=notes,
        candidates=candidates,
        baseline="one persona for all: no clear groups",
        metrics=METRICS,
        checks=checks.TRAINING,
    )


def sample_of(inputs: TrainingInputs) -> TrainingSample:
    """Return the sample of a training."""
    return inputs.sample


def evaluate(_: Work[TrainingSettings], inputs: TrainingInputs) -> TrainingResult:
    """Find the personas."""
    return train(inputs.customers, inputs.categories, inputs.previous)


def report(
    work: Work[TrainingSettings], inputs: TrainingInputs, result: TrainingResult
) -> "Report[Pipeline]":
    """Return the row of a training, its model and its metrics."""
    model, choice = result.model, result.choice
    frame = None if model is None else habits(inputs.customers, inputs.categories, model.scaling.habits)
    return Report(
        fitted=None if model is None or frame is None else model.pipeline(frame),
        example=None if frame is None else frame.head(1_000),
        data_hash=f"{data_hash(inputs.customers)}{data_hash(inputs.categories)}",
        trained_as_of=work.partition.as_of,
        row={
            "customers": result.customers,
            "personas": len(model.ids) if model else 0,
            "silhouette": choice.at(choice.silhouette) if choice else None,
            "stability": choice.at(choice.stability) if choice else None,
            "new_personas": "; ".join(result.new) or None,
            "vanished_personas": "; ".join(result.vanished) or None,
            "said": result.summary,
            "accepted": bool(model and len(model.ids) > 1),
            "model": model.to_json() if model else None,
        },
        metrics=_metrics(result) if model else (),
    )


def _metrics(result: TrainingResult) -> list[Metric]:
    """Return the quality of each number of personas, and the results of other methods."""
    found: list[Metric] = []
    choice = result.choice
    if choice is not None:
        for k, silhouette, stability in zip(choice.ks, choice.silhouette, choice.stability, strict=True):
            values: dict[str, float | None] = {
                "clusters": k,
                "silhouette": silhouette,
                "stability": stability,
            }
            found += metrics_of(f"kmeans_{k}", dict.fromkeys(METRICS) | values)
    for other in result.comparisons:
        values = {name: value for name, value in asdict(other).items() if name != "method"}
        found += metrics_of(other.method, dict.fromkeys(METRICS) | values)
    return found


def notes(work: Work[TrainingSettings], inputs: TrainingInputs, result: TrainingResult) -> Notes:
    """Return the metadata and MLflow content of a training."""
    results = checks.check_training(result, not inputs.categories.empty, work.label)
    if result.model is None or result.choice is None:
        return Notes(checks=results)
    choice = result.choice
    return Notes(
        parameters={"k": choice.k, "rule": choice.rule, "habits": ", ".join(result.model.scaling.habits)},
        metrics={
            "silhouette": choice.at(choice.silhouette),
            "stability": choice.at(choice.stability),
            "customers": result.customers,
            "new": len(result.new),
            "vanished": len(result.vanished),
        },
        documents={"said.json": {"said": result.summary, "new": result.new, "vanished": result.vanished}},
        drawings=_drawings(result),
        tables={"other_methods": _comparisons(result)} if result.comparisons else {},
        checks=results,
    )


def candidates(
    _: Work[TrainingSettings], inputs: TrainingInputs, result: TrainingResult
) -> Iterator[CandidateRun]:
    """Yield a run for every number of personas that was tried, and for every other method."""
    choice = result.choice
    if choice is not None:
        for k, silhouette, stability in zip(choice.ks, choice.silhouette, choice.stability, strict=True):
            yield CandidateRun(f"kmeans_{k}", {"k": k}, {"silhouette": silhouette, "stability": stability})
    for other in result.comparisons:
        values: dict[str, Any] = asdict(other)
        yield CandidateRun(other.method, metrics={n: v for n, v in values.items() if n != "method"})


def _drawings(result: TrainingResult) -> dict[str, Drawing]:
    drawings: dict[str, Drawing] = {}
    if result.choice is not None and result.choice.ks:
        drawings["choice_of_k"] = (plots.choice_chart(result.choice), 9.0, 3.4)
    if result.model is not None and result.loadings.size:
        names = result.model.scaling.habits
        drawings["loadings"] = (plots.loadings_chart(result.loadings, names), 7.0, 1.4 + 0.3 * len(names))
    return drawings


def _comparisons(result: TrainingResult) -> str:
    """Return the comparison with other methods as a markdown table."""
    return markdown_table(
        ("method", "clusters", "noise", "silhouette", "Rand index with the personas"),
        (
            (
                other.method,
                other.clusters,
                f"{other.noise_share:.0%}",
                "" if other.silhouette is None else f"{other.silhouette:.2f}",
                f"{other.agreement:.2f}",
            )
            for other in result.comparisons
        ),
    )
