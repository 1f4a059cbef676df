"""What MLflow's registry says of a model and of a version of it.

Belongs here: descriptions and tags. Does not: calls of MLflow (`tracking`).
"""

from typing import TYPE_CHECKING, Any

from clm_dagster.platform.mlflow_store.registrations import Registration
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.tracked_runs import joined
from clm_dagster.platform.trained_models.samples import TrainingSample
from clm_dagster.statistics.evaluation import Verdict

if TYPE_CHECKING:
    from clm_dagster.platform.trained_models.training import Report, TrainedModel


def describe_version(
    model: "TrainedModel[Any, Any, Any, Any]",
    work: Work[Any],
    report: "Report[Any]",
    sample: TrainingSample,
    verdict: Verdict,
) -> Registration:
    """Return what the registry says of the version that is registered now."""
    gate = "none" if model.gate is None else "accepted" if verdict.accepted else "refused"
    horizon = "" if model.horizon_days is None else f" for a horizon of {model.horizon_days} days"
    asset, key = asset_of(work), work.partition.key
    tags = {
        "clm.as_of": str(work.day),
        "clm.gate": gate,
        "clm.training_as_of": str(report.trained_as_of),
        "clm.training_sample": str(sample),
        "clm.training_data_hash": report.data_hash,
        "dagster.asset_key": asset,
        "dagster.partition": key,
        "dagster.run_id": work.dagster_run_id,
        **({} if model.horizon_days is None else {"clm.horizon_days": str(model.horizon_days)}),
    }
    return Registration(
        model=_model_description(model, work, asset),
        description=(
            f"Trained at as_of {work.day}{horizon}, on {sample}. {verdict}".strip()
            + f"\n\nDagster asset `{asset}`, partition `{key}` (`/assets/{asset}?partition={key}` in Dagster's UI), "
            f"run `{work.dagster_run_id}`."
        ),
        tags=tags,
        is_champion=verdict.accepted and work.partition.is_newest,
    )


def asset_of(work: Work[Any]) -> str:
    """Return the asset key of a step as text, with the prefix of its shop."""
    return joined(work.tracking.prefix, f"{work.node.schema}/{work.node.name}", "/")


def _model_description(model: "TrainedModel[Any, Any, Any, Any]", work: Work[Any], asset: str) -> str:
    gate = (
        ""
        if model.gate is None
        else f" A version becomes champion if it passes its gate: {model.gate.description}"
    )
    return (
        f"{work.node.description or model.name}{gate}\n\nThe Dagster asset `{asset}` trains it, and the table "
        f"`{model.name}` of the warehouse has a row for each training. The naive baseline that it must beat: "
        f"{model.baseline}. The version with the alias `champion` scores the newest snapshots."
    )
