"""What a training of the uplift model stores in the warehouse and in the model registry.

Belongs here: the row of `models.uplift_model`, metrics of candidates, the model. Does not: metadata, plots (`notes`).
"""

import json
from collections.abc import Iterator

from clm_dagster.domains.actions.uplift.contest import ArmResult, UpliftResult
from clm_dagster.domains.actions.uplift.model import UpliftModel
from clm_dagster.domains.actions.uplift.names import BASELINES
from clm_dagster.domains.actions.uplift.sample import Sample, day_of
from clm_dagster.domains.actions.uplift.served import example
from clm_dagster.domains.actions.uplift.table_settings import UpliftSettings
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.tracking import data_hash
from clm_dagster.platform.trained_models.metrics import Metric, metrics_of
from clm_dagster.platform.trained_models.training import Report


def report(work: Work[UpliftSettings], inputs: Sample, result: UpliftResult) -> Report[UpliftModel]:
    """Return the row of a training, its model and its metrics."""
    arms = list(result.arms.values())
    trained_until = max(day_of(arm.split.training.frame["contacted_on"].max()) for arm in arms)
    return Report(
        fitted=result.model,
        example=example(arms[0].split.training.frame),
        data_hash=data_hash(inputs.contacts),
        trained_as_of=trained_until,
        row={
            "trained_until": trained_until,
            "tested_from": min(arm.split.tested_from for arm in arms),
            "campaigns": int(inputs.contacts["campaign_id"].nunique()),
            "contacts": len(inputs.contacts),
            "customers": int(inputs.contacts["customer_id"].nunique()),
            "winner": ", ".join(f"{name}: {arm.model.winner}" for name, arm in result.arms.items()),
            "arms": json.dumps({name: facts_of(arm) for name, arm in result.arms.items()}),
        },
        metrics=[metric for name, arm in result.arms.items() for metric in _metrics(name, arm)],
    )


def facts_of(arm: ArmResult) -> dict[str, object]:
    """Return what is known of one arm, for JSON."""
    test = arm.winner.test
    return {
        "winner": arm.model.winner,
        "accepted": arm.verdict().accepted,
        "split": arm.split.how,
        "tested_from": str(arm.split.tested_from),
        "average_effect": round(arm.model.average, 6),
        "slope": round(arm.model.slope, 4),
        "qini": [round(value, 2) for value in (test.area.value, test.area.low, test.area.high)],
        "qini_over_response": [
            round(value, 2)
            for value in (test.over_reference.value, test.over_reference.low, test.over_reference.high)
        ],
        "training": arm.split.training.counts(),
        "test": arm.split.test.counts(),
    }


def _metrics(name: str, arm: ArmResult) -> Iterator[Metric]:
    """Yield the stored metrics of the candidates of one arm."""
    for one in arm.candidates.values():
        yield from metrics_of(
            one.name,
            {
                "qini": one.test.area,
                "qini_over_response": one.test.over_reference,
                "validation_qini": one.validation,
                "is_baseline": int(one.name in BASELINES),
                "seconds": round(one.seconds, 3),
            },
            dimension="arm",
            group_name=name,
        )
