"""What MLflow shows of the experiment.

Belongs here: its description and its kind. Does not: descriptions of models and versions (`trained_models`).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

_NOTE = "mlflow.note.content"
# The UI of MLflow 3 opens an experiment of this kind on its runs, others on traces of language models.
_KIND, _MACHINE_LEARNING = "mlflow.experimentKind", "custom_model_development"


def experiment_tags(prefix: str) -> dict[str, str]:
    """Return the tags of a new experiment. prefix: of the shop, empty for none."""
    shop = f" of the shop `{prefix}`" if prefix else ""
    note = (
        f"Trainings of customer lifecycle models{shop} by clm_dagster. Each run is one materialization of a Dagster "
        "asset at one snapshot: the tags `dagster.asset_key`, `dagster.partition` and `dagster.run_id` name it. Its "
        "children are the candidates. The winner is a registered model of the asset's name; the version with the "
        "alias `champion` scores customers."
    )
    return {_NOTE: note, _KIND: _MACHINE_LEARNING}


def describe_experiment(client: "MlflowClient", experiment: str, prefix: str) -> None:
    """Write the description and the kind of an experiment. A description and a kind that a person chose stay."""
    tags = client.get_experiment(experiment).tags
    wanted = experiment_tags(prefix)
    note, kind = tags.get(_NOTE), tags.get(_KIND, "")
    # The UI infers a kind where none is set, also from an experiment without runs.
    is_chosen = bool(kind) and not kind.endswith(("_inferred", "no_inferred_type"))
    client.set_experiment_tag(experiment, _NOTE, note or wanted[_NOTE])
    client.set_experiment_tag(experiment, _KIND, kind if is_chosen else wanted[_KIND])
