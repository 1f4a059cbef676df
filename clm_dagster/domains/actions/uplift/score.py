"""Effects of arms on every customer at a snapshot: the rows of `marts.uplift_scores`.

Belongs here: the inputs of scoring, and its rows. Does not: training (`training`), the model (`model`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.actions.uplift.model import UpliftModel
from clm_dagster.domains.actions.uplift.names import AVERAGE, NUMBERS
from clm_dagster.domains.actions.uplift.table_settings import UpliftSettings
from clm_dagster.platform.python_tables.in_shards import Computed, InShards
from clm_dagster.platform.python_tables.output import Rows, TableOutput
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.python_tables.shards import CustomerRows
from clm_dagster.platform.trained_models.champions import baseline_name
from clm_dagster.platform.trained_models.scoring import NothingToScoreError, Scoring

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ScoreInputs:
    """Inputs of scoring. customers: every known customer, with the features of the model."""

    customers: CustomerRows


def read_scoring(reading: Reading[UpliftSettings]) -> ScoreInputs:
    """Read the customers of a snapshot. Without a training there is nothing to score."""
    if reading.partition.model_as_of is None:
        return ScoreInputs(CustomerRows.whole(pd.DataFrame()))
    numbers = ", ".join(f"cast(features.{name} as double) as {name}" for name in NUMBERS)
    known = f"select customer_id from core.customer_features where as_of = timestamp '{reading.as_of}'"
    query = f"""
        select features.customer_id, {numbers}, features.country, customers.acquisition_channel
        from core.customer_features as features
        left join staging.stg_customers as customers on customers.customer_id = features.customer_id
        where features.as_of = timestamp '{reading.as_of}' order by features.customer_id
    """
    return ScoreInputs(reading.rows("customers", reading.shards(known), query))


def score(scoring: Scoring[UpliftSettings, UpliftModel], inputs: ScoreInputs) -> Computed:
    """Return the effect of each arm on each customer, by the champion or the average effect of the arm.

    An arm whose own contest did not pass keeps its average effect. Raise NothingToScoreError where nothing was fitted
    by this date.
    """
    served = scoring.whole
    model = served.fitted
    if model is None:
        raise NothingToScoreError(
            "No uplift model was fitted by this date, so no effect is predicted: plans use the effects of the playbook."
        )
    if not len(inputs.customers):
        return TableOutput(pd.DataFrame(columns=scoring.work.columns), scoring.facts())
    return Effects(scoring, inputs, model)


@dataclass(frozen=True)
class Scored:
    """What metadata needs of the rows of a shard. effects: of each arm on each customer. proven: arms."""

    effects: dict[str, Floats]
    proven: tuple[str, ...]


class Effects(InShards[None, None, Scored]):
    """The effects on every customer, shard by shard. No row depends on another one."""

    def __init__(
        self, scoring: Scoring[UpliftSettings, UpliftModel], inputs: ScoreInputs, model: UpliftModel
    ) -> None:
        self._scoring, self._inputs, self._model = scoring, inputs, model

    @property
    def shards(self) -> int:
        """The number of shards."""
        return len(self._inputs.customers.shards)

    def measure(self, shard: int) -> None:
        """Do nothing."""

    def combine(self, parts: Sequence[None]) -> None:
        """Do nothing."""

    def rows(self, whole: None, shard: int) -> tuple[pd.DataFrame, Scored]:
        """Return the rows of a shard."""
        served = self._scoring.whole
        accepted = served.choice.row is not None and bool(served.choice.row["accepted"])
        customers = self._inputs.customers.shard(shard)
        frame = effect_rows(self._model, customers, not served.choice.is_baseline, accepted)
        frame["model_name"] = frame["model_name"].fillna(str(served.columns()["model_name"]))
        effects = {str(name): part.to_numpy(float) for name, part in frame.groupby("arm")["effect"]}
        proven = tuple(str(name) for name in frame.loc[frame["is_proven"], "arm"].unique())
        return self._scoring.stamped(frame), Scored(effects, proven)

    def output(self, whole: None, rows: Rows, facts: Sequence[Scored]) -> TableOutput:
        """Return the rows with metadata."""
        effects = {name: np.concatenate([one.effects[name] for one in facts]) for name in facts[0].effects}
        harmed = {name: int((effects[name] < 0).sum()) for name in facts[0].proven}
        return TableOutput(
            rows,
            {
                **self._scoring.facts(),
                "proven_arms": ", ".join(facts[0].proven) or "none",
                "mean_effect": {
                    name: round(float(pd.Series(one).mean()), 5) for name, one in effects.items()
                },
                "customers_with_an_effect_below_zero": {
                    name: count for name, count in sorted(harmed.items(), key=lambda one: -one[1]) if count
                },
            },
        )


def effect_rows(model: UpliftModel, customers: pd.DataFrame, serves: bool, accepted: bool) -> pd.DataFrame:
    """Return the effect of each arm on each customer: customer_id, arm, horizon_days, effect, is_proven, model_name.

    customers: customer_id and the columns `INPUTS`. serves: whether the model serves, not its baseline. accepted:
    whether it passed its gate; a refused model that serves by the user's choice is not proven. model_name: null where
    the model serves.
    """
    predicted = model.effects(customers) if serves else {}
    parts = []
    for name, arm in model.arms.items():
        learnt = serves and (arm.proven or not accepted)
        effect = predicted[name] if learnt else np.full(len(customers), arm.average)
        parts.append(
            pd.DataFrame(
                {
                    "customer_id": customers["customer_id"].to_numpy(),
                    "arm": name,
                    "horizon_days": model.horizon_days,
                    "effect": effect,
                    "is_proven": learnt and accepted,
                    "model_name": pd.Series(
                        None if learnt else baseline_name(AVERAGE), index=range(len(customers)), dtype=object
                    ),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
