"""Effects of arms on every customer at a snapshot: the rows of `marts.uplift_scores`.

Belongs here: the inputs of scoring, and its rows. Does not: training (`training`), the model (`model`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clm_dagster.domains.actions.uplift.model import UpliftModel
from clm_dagster.domains.actions.uplift.names import AVERAGE, NUMBERS
from clm_dagster.domains.actions.uplift.table_settings import UpliftSettings
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.trained_models.champions import baseline_name
from clm_dagster.platform.trained_models.scoring import NothingToScoreError, Scoring


@dataclass(frozen=True)
class ScoreInputs:
    """Inputs of scoring. customers: every known customer, with the features of the model."""

    customers: pd.DataFrame


def read_scoring(reading: Reading[UpliftSettings]) -> ScoreInputs:
    """Read the customers of a snapshot. Without a training there is nothing to score."""
    if reading.partition.model_as_of is None:
        return ScoreInputs(pd.DataFrame())
    numbers = ", ".join(f"cast(features.{name} as double) as {name}" for name in NUMBERS)
    return ScoreInputs(
        reading.connection.frame(
            f"""
            select features.customer_id, {numbers}, features.country, customers.acquisition_channel
            from core.customer_features as features
            left join staging.stg_customers as customers on customers.customer_id = features.customer_id
            where features.as_of = ? order by features.customer_id
            """,
            [reading.as_of],
        )
    )


def score(scoring: Scoring[UpliftSettings, UpliftModel], inputs: ScoreInputs) -> TableOutput:
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
    if inputs.customers.empty:
        return TableOutput(pd.DataFrame(columns=scoring.work.columns), scoring.facts())
    accepted = served.choice.row is not None and bool(served.choice.row["accepted"])
    frame = effect_rows(model, inputs.customers, not served.choice.is_baseline, accepted)
    frame["model_name"] = frame["model_name"].fillna(str(served.columns()["model_name"]))
    proven = frame.loc[frame["is_proven"], "arm"].unique()
    harmed = frame.loc[frame["is_proven"] & (frame["effect"] < 0), "arm"].value_counts()
    return TableOutput(
        scoring.stamped(frame),
        {
            **scoring.facts(),
            "proven_arms": ", ".join(map(str, proven)) or "none",
            "mean_effect": {
                str(name): round(float(part.mean()), 5) for name, part in frame.groupby("arm")["effect"]
            },
            "customers_with_an_effect_below_zero": {str(name): int(count) for name, count in harmed.items()},
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
