"""What serves a snapshot: the champion as of that snapshot, or the naive baseline.

Belongs here: the one rule for all trained models, and reading the table of trainings. Does not: which model becomes
champion (the gates of the domains), MLflow (`tracking`), scores (`scoring`).

A table of trainings (`models.*`) has the columns as_of, model_version, horizon_days, accepted (whether the model passed
its gate), suspected_leak and said (the message of the training). A model that is judged by parts, such as two lists,
also has a column accepted_<part> for each, and each part is served for itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Generic, TypeVar

import dagster as dg
import pandas as pd
from pandas.api.typing import NaTType

from clm_dagster.platform.mlflow_store.registrations import StoredTraining
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.warehouse import Connection

Fitted = TypeVar("Fitted")
# A value of a column that names what serves.
Stamp = str | pd.Timestamp | NaTType | None
# Columns of a score table that name the model -> columns of the table of trainings.
_MODEL_COLUMNS = {
    "model_name": "model_name",
    "model_version": "model_version",
    "model_as_of": "as_of",
    "training_data_hash": "training_data_hash",
}
# The model version of rows that nothing fitted has computed.
NO_VERSION = "none"
# The part of a model that is judged as a whole.
WHOLE = ""


def baseline_name(candidate: str) -> str:
    """Return the `model_name` under which a naive candidate serves: `recency_baseline`."""
    return f"{candidate}_baseline"


def accepted_column(part: str) -> str:
    """Return the column that says whether a part of a model passed its gate."""
    return f"accepted_{part}" if part else "accepted"


@dataclass(frozen=True)
class Choice:
    """What serves one part of a table of scores at one snapshot.

    row: the training whose model is loaded, None if there is none; the naive baseline takes from it what was fitted.
    message: why no champion serves, None if one does. is_baseline: whether the naive baseline serves.
    """

    row: pd.Series | None
    message: str | None = None
    is_baseline: bool = False

    @property
    def version(self) -> str:
        """The version of the training, `none` without one."""
        return NO_VERSION if self.row is None else str(self.row["model_version"])

    @property
    def run_id(self) -> str | None:
        """The MLflow run of the training, None without one."""
        return None if self.row is None else self.row.get("mlflow_run_id")


@dataclass(frozen=True)
class Served(Generic[Fitted]):
    """What serves one part of a table.

    choice: the rule's result. fitted: the loaded model of its training, None if there is none. baseline: the naive
    candidate that serves if the choice says so.
    """

    choice: Choice
    fitted: Fitted | None
    baseline: str

    @property
    def champion(self) -> Fitted | None:
        """The model, None if the naive baseline serves."""
        return None if self.choice.is_baseline else self.fitted

    def columns(self) -> dict[str, Stamp]:
        """Return the columns that name what serves. The version and as_of are those of the training."""
        row = self.choice.row
        if row is None:
            empty: dict[str, Stamp] = {"model_as_of": pd.NaT, "training_data_hash": None}
            return {"model_name": baseline_name(self.baseline), "model_version": NO_VERSION, **empty}
        found: dict[str, Stamp] = {
            name: row[source] for name, source in _MODEL_COLUMNS.items() if source in row
        }
        return found | ({"model_name": baseline_name(self.baseline)} if self.choice.is_baseline else {})


def read_models(connection: Connection, name: str, as_of: date) -> pd.DataFrame:
    """Return the rows of a table of trainings at or before an as_of, oldest first; empty if nothing was trained."""
    if connection.relation_kind(name) is None:
        return pd.DataFrame(
            columns=["as_of", "model_version", "accepted", "suspected_leak", "horizon_days", "said"]
        )
    return connection.frame(f"select * from {name} where as_of <= ? order by as_of", [as_of])


def stored_trainings(connection: Connection, name: str) -> list[StoredTraining]:
    """Return all rows of a table of trainings to compare with MLflow, oldest first; empty if nothing was trained."""
    if connection.relation_kind(name) is None:
        return []
    rows = connection.execute(
        f"select coalesce(model_version, ''), coalesce(mlflow_run_id, ''), as_of from {name} order by as_of"
    )
    return [StoredTraining(*row) for row in rows]


def has_model_at(models: pd.DataFrame, as_of: datetime) -> bool:
    """Whether a model is stored for exactly this snapshot. models: rows of `read_models`."""
    return bool(models.loc[models["as_of"] == as_of, "model_version"].notna().any())


@dataclass(frozen=True)
class Trainings:
    """The rows of a table of trainings up to an as_of. is_latest: whether there is no later row."""

    name: str
    rows: pd.DataFrame
    is_latest: bool

    @classmethod
    def read(cls, connection: Connection, name: str, as_of: date) -> "Trainings":
        """Read the rows; empty if nothing was trained."""
        rows = read_models(connection, name, as_of)
        later = connection.relation_kind(name) is not None and connection.scalar(
            f"select count(*) from {name} where as_of > ?", [as_of]
        )
        return cls(name, rows, not later)

    def choose(
        self, tracking: Tracking, horizon_days: int, part: str = WHOLE, serve_refused: bool = False
    ) -> Choice:
        """Return what serves a part at the as_of. MLflow's alias decides for the latest snapshots."""
        alias = tracking.champion(self.name) if self.is_latest else None
        return choose(self.name, self.rows, horizon_days, alias, part, serve_refused)


def champion_row(models: pd.DataFrame, horizon_days: int, part: str = WHOLE) -> pd.Series | None:
    """Return the champion: the newest model in `models` that passed its gate; None if none did."""
    if models.empty:
        return None
    passed = models[accepted_column(part)].fillna(False).astype(bool)
    accepted = models[passed & models["model_version"].notna() & (models["horizon_days"] == horizon_days)]
    return None if accepted.empty else accepted.iloc[-1]


def choose(
    name: str,
    models: pd.DataFrame,
    horizon_days: int,
    alias: str | None,
    part: str = WHOLE,
    serve_refused: bool = False,
) -> Choice:
    """Return what serves a part: the champion, else the naive baseline.

    models: rows of the table `name` up to the as_of. alias: the version with MLflow's alias `champion`, which has
    priority, so that a user can move it; None for past snapshots and if the alias is not set. An alias that points at
    no training of this horizon is ignored, with a message: a training again, or one with another horizon, has replaced
    it. serve_refused: serve the newest refused model without a suspected leak (CLM_SERVE_REFUSED_MODELS).
    """
    known = models[models["model_version"].notna() & (models["horizon_days"] == horizon_days)]
    remark = None
    if alias is not None:
        found = known[known["model_version"] == alias]
        if found.empty:
            remark = _unknown_alias(name, alias, known, horizon_days)
        elif found.iloc[-1][accepted_column(part)]:
            return Choice(found.iloc[-1])
        elif not found.iloc[-1]["accepted"]:
            return Choice(
                found.iloc[-1],
                f"the MLflow alias `champion` was moved to version {alias}, which did not pass its gate. It serves "
                f"until the alias is moved back. {found.iloc[-1]['said']}",
            )
    best = champion_row(known, horizon_days, part)
    if best is not None:
        return Choice(best, remark)
    return _without_champion(name, models, known, horizon_days, part, serve_refused, remark)


def _without_champion(
    name: str,
    models: pd.DataFrame,
    known: pd.DataFrame,
    horizon_days: int,
    part: str,
    serve_refused: bool,
    remark: str | None,
) -> Choice:
    """Return the naive baseline, or the newest refused model where the user wants that."""
    usable = known[~known["suspected_leak"].astype(bool)]
    newest = None if usable.empty else usable.iloc[-1]
    about = f"{name} for {part}" if part else name
    if serve_refused and newest is not None:
        text = (
            f"CLM_SERVE_REFUSED_MODELS is on: version {newest['model_version']} of {about} serves although it did not "
            f"pass its gate. {newest['said']}"
        )
        return Choice(newest, _joined(remark, text))
    if newest is not None:
        why = f"No training of {about} had passed its gate by this date. {newest['said']}"
    elif not known.empty:
        why = f"Every training of {about} by this date has a suspected leak. {known.iloc[-1]['said']}"
    elif models.empty:
        why = f"{about} was not trained by this date."
    else:
        why = f"No model of {about} has a horizon of {horizon_days} days by this date. {models.iloc[-1]['said']}"
    return Choice(newest, _joined(remark, why), is_baseline=True)


def _unknown_alias(name: str, alias: str, known: pd.DataFrame, horizon_days: int) -> str:
    versions = ", ".join(known["model_version"]) or "none"
    return (
        f"The MLflow alias `champion` of {name} points at version {alias}, but the table {name} has no such version "
        f"with a horizon of {horizon_days} days (it has: {versions}), so the alias is ignored. To use another version, "
        "point the alias at one of these."
    )


def _joined(first: str | None, second: str) -> str:
    return f"{first} {second}" if first else second


def row_without_model(
    name: str, columns: Sequence[str], key: str, horizon_days: int | None, problem: str, has_model: bool
) -> pd.DataFrame:
    """Return the row of a training that was not possible, with the reason.

    Raise dg.Failure if a model is already stored for the snapshot, to keep it.
    """
    if has_model:
        raise dg.Failure(f"{name} {key}: {problem} The stored model and its scores are kept.")
    known = {
        "model_name": name,
        "horizon_days": horizon_days,
        **dict.fromkeys((column for column in columns if column.startswith("accepted")), False),
        "suspected_leak": False,
        "said": problem,
    }
    return pd.DataFrame([{column: known.get(column) for column in columns}], columns=list(columns))
