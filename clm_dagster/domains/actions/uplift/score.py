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
    # A refused model that serves by the user's choice is not proven.
    accepted = served.choice.row is not None and bool(served.choice.row["accepted"])
    champion = served.champion
    predicted = {} if champion is None else champion.effects(inputs.customers)
    rows, proven = [], []
    for name, arm in model.arms.items():
        serves = name in predicted and (arm.proven or not accepted)
        is_proven = serves and accepted
        effect = predicted[name] if serves else np.full(len(inputs.customers), arm.average)
        rows.append(
            pd.DataFrame(
                {
                    "customer_id": inputs.customers["customer_id"].to_numpy(),
                    "arm": name,
                    "horizon_days": model.horizon_days,
                    "effect": effect,
                    "is_proven": is_proven,
                }
                | ({} if serves else {"model_name": baseline_name(AVERAGE)})
            )
        )
        proven += [name] if is_proven else []
    frame = pd.concat(rows, ignore_index=True)
    if "model_name" in frame:
        frame["model_name"] = frame["model_name"].fillna(str(served.columns()["model_name"]))
    harmed = frame.loc[frame["is_proven"] & (frame["effect"] < 0), "arm"].value_counts()
    return TableOutput(
        scoring.stamped(frame),
        {
            **scoring.facts(),
            "proven_arms": ", ".join(proven) or "none",
            "mean_effect": {
                str(name): round(float(part.mean()), 5) for name, part in frame.groupby("arm")["effect"]
            },
            "customers_with_an_effect_below_zero": {str(name): int(count) for name, count in harmed.items()},
        },
    )
