"""Which model of a table of trainings scores a snapshot: the champion as of that snapshot.

Belongs here: the rule, and reading the table. Does not: which model becomes champion (the gates of the domains), MLflow
(`tracking`).

A table of trainings (`models.*`) has the columns as_of, model_version, horizon_days, accepted (whether the model passed
its gate), suspected_leak and said (the message of the training).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import dagster as dg
import pandas as pd

from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.warehouse import Connection


@dataclass(frozen=True)
class Choice:
    """The model that scores a snapshot.

    row: its row in the table of trainings, None if there is no model. message: why it is not a champion, if so.
    """

    row: pd.Series | None
    message: str | None = None


def read_models(connection: Connection, name: str, as_of: date) -> pd.DataFrame:
    """Return the rows of a table of trainings at or before an as_of, oldest first; empty if nothing was trained."""
    if connection.relation_kind(name) is None:
        return pd.DataFrame(
            columns=["as_of", "model_version", "accepted", "suspected_leak", "horizon_days", "said"]
        )
    return connection.frame(f"select * from {name} where as_of <= ? order by as_of", [as_of])


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

    def choose(self, tracking: Tracking, horizon_days: int) -> Choice:
        """Return the model that scores the as_of. MLflow's alias decides for the latest snapshots."""
        alias = tracking.champion(self.name) if self.is_latest else None
        return choose(self.name, self.rows, horizon_days, alias)


def champion_row(models: pd.DataFrame, horizon_days: int) -> pd.Series | None:
    """Return the champion: the newest model in `models` that passed its gate; None if none did."""
    accepted = models[models["accepted"].astype(bool) & (models["horizon_days"] == horizon_days)]
    return None if accepted.empty else accepted.iloc[-1]


def choose(name: str, models: pd.DataFrame, horizon_days: int, alias: str | None) -> Choice:
    """Return the champion; without one, the newest model without a suspected leak.

    models: rows of the table `name` up to the as_of. alias: the version with MLflow's alias `champion`, which has
    priority, so that a user can move it; None for past snapshots and if the alias is not set. Raise dg.Failure if the
    alias points at a version that is not in the table.
    """
    known = models[models["model_version"].notna() & (models["horizon_days"] == horizon_days)]
    if alias is not None:
        found = known[known["model_version"] == alias]
        if found.empty:
            versions = ", ".join(known["model_version"]) or "none"
            raise dg.Failure(
                f"the MLflow alias `champion` of {name} points at version {alias}, but the table {name} has no such "
                f"version with a horizon of {horizon_days} days (it has: {versions}). Point the alias at one of "
                f"these, or train the model again: materialize {name.replace('.', '/')}."
            )
        return Choice(found.iloc[-1])
    best = champion_row(known, horizon_days)
    if best is not None:
        return Choice(best)
    without_leak = known[~known["suspected_leak"].astype(bool)]
    if without_leak.empty:
        last = f" {models.iloc[-1]['said']}" if len(models) else ""
        return Choice(None, f"there is no usable model of {name}, so this snapshot has no scores.{last}")
    newest = without_leak.iloc[-1]
    return Choice(
        newest,
        f"no model had passed its gate by this date; scored by version {newest['model_version']} instead. "
        f"{newest['said']}",
    )


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
        "accepted": False,
        "suspected_leak": False,
        "said": problem,
    }
    return pd.DataFrame([{column: known.get(column) for column in columns}], columns=list(columns))
