"""Which of the models in a table of trainings scores a snapshot: the champion as of then.

Belongs here: the rule, and reading the table. Does not: who becomes champion (`contest.gates`), MLflow (`tracking`).

A table of trainings (`models.*`) has as_of, model_version, horizon_days, accepted (whether the gate was passed),
suspected_leak and said.
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
    """The model that scores a snapshot, as its row in the table; `said`: why it is no champion."""

    row: pd.Series | None
    said: str | None = None


def read_models(connection: Connection, name: str, as_of: date) -> pd.DataFrame:
    """Rows of a table of trainings at or before an as_of, the oldest first; none where nothing was trained."""
    if connection.relation_kind(name) is None:
        return pd.DataFrame(
            columns=["as_of", "model_version", "accepted", "suspected_leak", "horizon_days", "said"]
        )
    return connection.frame(f"select * from {name} where as_of <= ? order by as_of", [as_of])


def has_model_at(models: pd.DataFrame, as_of: datetime) -> bool:
    """Whether a model is stored for this very snapshot. models: rows of `read_models`."""
    return bool(models.loc[models["as_of"] == as_of, "model_version"].notna().any())


@dataclass(frozen=True)
class Trainings:
    """The rows of a table of trainings up to an as_of; is_latest: whether there is none after it."""

    name: str
    rows: pd.DataFrame
    is_latest: bool

    @classmethod
    def read(cls, connection: Connection, name: str, as_of: date) -> "Trainings":
        """Read them; none where nothing was trained."""
        rows = read_models(connection, name, as_of)
        later = connection.relation_kind(name) is not None and connection.scalar(
            f"select count(*) from {name} where as_of > ?", [as_of]
        )
        return cls(name, rows, not later)

    def choose(self, tracking: Tracking, horizon_days: int) -> Choice:
        """The model that scores the as_of; of the latest snapshots MLflow's own alias decides."""
        alias = tracking.champion(self.name) if self.is_latest else None
        return choose(self.name, self.rows, horizon_days, alias)


def champion_row(models: pd.DataFrame, horizon_days: int) -> pd.Series | None:
    """The champion as of then: the newest model that passed its gate; None where none did."""
    fit = models[models["accepted"].astype(bool) & (models["horizon_days"] == horizon_days)]
    return None if fit.empty else fit.iloc[-1]


def choose(name: str, models: pd.DataFrame, horizon_days: int, alias: str | None) -> Choice:
    """The champion as of then; without one the newest model, if no leak is suspected.

    models: rows of the table `name` trained by then. alias: the version that MLflow's alias `champion` points at,
    None for a snapshot of the past, or where nobody has set it: a person who moves it back is obeyed. Raises
    dg.Failure for a version that the table does not know.
    """
    known = models[models["model_version"].notna() & (models["horizon_days"] == horizon_days)]
    if alias is not None:
        found = known[known["model_version"] == alias]
        if found.empty:
            versions = ", ".join(known["model_version"]) or "none"
            raise dg.Failure(
                f"MLflow's champion of {name} is version {alias}, which the table {name} does not know for a horizon "
                f"of {horizon_days} days (known: {versions}). Point the alias `champion` at one of these, or train "
                f"again: materialize {name.replace('.', '/')}."
            )
        return Choice(found.iloc[-1])
    best = champion_row(known, horizon_days)
    if best is not None:
        return Choice(best)
    honest = known[~known["suspected_leak"].astype(bool)]
    if honest.empty:
        last = f" {models.iloc[-1]['said']}" if len(models) else ""
        return Choice(None, f"no model of {name} can score it, so it has no scores.{last}")
    newest = honest.iloc[-1]
    return Choice(
        newest,
        f"no model had passed its gate by then; scored by version {newest['model_version']} all the same. "
        f"{newest['said']}",
    )


def row_without_model(
    name: str, columns: Sequence[str], key: str, horizon_days: int | None, problem: str, has_model: bool
) -> pd.DataFrame:
    """Return the row of a training that was not possible, which says why.

    Raise dg.Failure where a model is stored for the snapshot already: that is not thrown away.
    """
    if has_model:
        raise dg.Failure(f"{name} {key}: {problem} The model that is there stays, and so do its scores.")
    known = {
        "model_name": name,
        "horizon_days": horizon_days,
        "accepted": False,
        "suspected_leak": False,
        "said": problem,
    }
    return pd.DataFrame([{column: known.get(column) for column in columns}], columns=list(columns))
