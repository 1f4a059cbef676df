"""Registering a version of a model, and agreeing with the table of trainings after a process was killed.

Belongs here: the states of a version. Does not: logging the model (`tracked_runs`), the table (`trained_models`).

A training registers its version, writes its row, and then moves the alias `champion`. Until all of it is done the
version has the tag `clm.row` = `pending`, and names its process. So a version that a killed process left is recognised:
with its row, the rest is done later; without, nobody knows the version and it is deleted.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from clm_dagster.platform.processes import ProcessIdentity

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
# Begin of the tags that name a process.
OWNER = "clm."
_ROW, _PENDING, _STORED = "clm.row", "pending", "stored"
# The version that was the champion when this one was registered.
_CHAMPION_BEFORE = "clm.champion_before"
_NOBODY = "none"
_BECOMES_CHAMPION = "clm.becomes_champion"


@dataclass(frozen=True)
class Registration:
    """What the registry says of a version.

    model: description of the registered model. description, tags: of the version. is_champion: whether the version
    becomes champion once its row is stored.
    """

    model: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    is_champion: bool = False


@dataclass(frozen=True)
class StoredTraining:
    """A row of a table of trainings: version and MLflow run, empty in a row that says why there is no model."""

    version: str
    run_id: str
    as_of: datetime


def register(
    client: "MlflowClient", name: str, run_id: str, model_id: str, registration: Registration
) -> "ModelVersion":
    """Register a logged model as the next version of a name, which is created if missing. The row is pending."""
    found = client.search_registered_models(f"name = '{name}'")
    if not found:
        client.create_registered_model(name, description=registration.model)
    elif registration.model and not found[0].description:
        client.update_registered_model(name, registration.model)
    aliases = found[0].aliases if found else {}
    tags = {
        **registration.tags,
        **ProcessIdentity.own().tags(OWNER),
        _ROW: _PENDING,
        _CHAMPION_BEFORE: str(aliases.get(CHAMPION, _NOBODY)),
        _BECOMES_CHAMPION: str(registration.is_champion).lower(),
    }
    source = client.get_logged_model(model_id).artifact_location
    return client.create_model_version(
        name, source, run_id=run_id, model_id=model_id, description=registration.description, tags=tags
    )


def adopt(client: "MlflowClient", name: str, version: str) -> None:
    """Make this process the owner of a version that an earlier try has registered."""
    for key, value in ProcessIdentity.own().tags(OWNER).items():
        client.set_model_version_tag(name, version, key, value)


def complete(client: "MlflowClient", name: str, version: str, is_champion: bool) -> None:
    """Move the alias if the version is the champion, and note that its row is stored. Call it after the commit."""
    if is_champion:
        client.set_registered_model_alias(name, CHAMPION, version)
    client.set_model_version_tag(name, version, _ROW, _STORED)


def settle(client: "MlflowClient", name: str, stored: Collection[StoredTraining]) -> list[str]:
    """Complete or delete the versions that killed processes left. Return what was done, as sentences.

    stored: all rows of the table of trainings, oldest first. Versions of processes that may still run stay as they are,
    and so does a version without a row to which a person gave an alias.
    """
    done = []
    for version in client.search_model_versions(f"name = '{name}' and tag.`{_ROW}` = '{_PENDING}'"):
        owner = ProcessIdentity.of_tags(version.tags, OWNER)
        if owner is None or not owner.is_gone():
            continue
        number = str(version.version)
        row = next((row for row in stored if (row.version, row.run_id) == (number, version.run_id)), None)
        if row is not None:
            is_newest = row is list(stored)[-1]
            was_to = version.tags.get(_BECOMES_CHAMPION) == "true"
            # A person may have moved the alias since.
            is_unmoved = _champion(client, name) == version.tags.get(_CHAMPION_BEFORE)
            complete(client, name, number, was_to and is_newest and is_unmoved)
            done.append(f"Completed the registration of version {number} of {name}: its process was killed.")
        elif not client.get_model_version(name, number).aliases:
            client.delete_model_version(name, number)
            done.append(
                f"Deleted version {number} of {name}: its process was killed before its row was stored."
            )
    return done


def _champion(client: "MlflowClient", name: str) -> str:
    return str(client.get_registered_model(name).aliases.get(CHAMPION, _NOBODY))
