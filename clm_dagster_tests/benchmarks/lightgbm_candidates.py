"""LightGBM beside the other candidates of churn and customer value, at test dates that chose nothing.

Belongs here: evaluations with the same features, labels and plan. Does not: loading shops (`loaded_shops`), output
(`report_models`).

The parameters of both candidates were chosen on Online Retail II at the test dates 2011-02-07, 2011-04-04 and
2011-05-30. The dates here are later.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Any

from clm_dagster.domains.churn import candidates as churn_candidates
from clm_dagster.domains.churn.evaluate import evaluate_candidates as evaluate_churn
from clm_dagster.domains.value import candidates as value_candidates
from clm_dagster.domains.value.evaluate import evaluate_candidates as evaluate_value
from clm_dagster.statistics.evaluation import evaluation_plan
from clm_dagster_tests.benchmarks.loaded_shops import LoadedShop

TESTS: dict[str, tuple[str, ...]] = {
    "online_retail_ii": ("2011-07-04", "2011-08-01", "2011-09-05"),
    "simulated": ("2025-05-05", "2025-08-04"),
}
CHURN = ("recency", "bgnbd", "logistic", "boosting", "lightgbm")
VALUE = ("btyd", "boosting_ratio", "two_part", "mlp", "lightgbm")
# A shown candidate, and its counterpart with LightGBM.
SHOWN = {
    "churn": ("boosting", "lightgbm", "blend", "blend_lightgbm"),
    "value": ("boosting_ratio", "lightgbm", "blend_btyd_ratio", "blend_btyd_lightgbm"),
}
FOREVER = date(9999, 1, 1)


def measure(name: str, reference: str, folder: str) -> dict[str, Any]:
    """Return a row for each test date, model and shown candidate."""
    shop = LoadedShop.open(name, reference, folder)
    rows: list[dict[str, Any]] = []
    for day in map(date.fromisoformat, TESTS[name]):
        rows += _churn(shop, day)
        rows += _value(shop, day)
    return {"rows": rows}


def _churn(shop: LoadedShop, day: date) -> list[dict[str, Any]]:
    settings = replace(shop.churn_settings, lightgbm=True)
    plan = evaluation_plan(day, shop.first, settings)
    chosen = [one for one in churn_candidates.candidates(lightgbm=True) if one.name in CHURN]
    result = evaluate_churn(*shop.churn(plan.snapshots, FOREVER), plan, settings, chosen)
    metrics = ("log_loss", "roc_auc", "calibration_error")
    found = {name: one.test | {"seconds": one.seconds} for name, one in result.results.items()}
    return _rows("churn", day, result.winner, found, metrics)


def _value(shop: LoadedShop, day: date) -> list[dict[str, Any]]:
    settings = replace(shop.value_settings, lightgbm=True)
    plan = evaluation_plan(day, shop.first, settings)
    chosen = [one for one in value_candidates.candidates(lightgbm=True) if one.name in VALUE]
    result = evaluate_value(*shop.value(plan.snapshots, FOREVER), plan, settings, chosen)
    found = {name: one.test | {"seconds": one.seconds} for name, one in result.results.items()}
    return _rows("value", day, result.winner, found, ("mae", "spearman", "decile_error"))


def _rows(
    model: str, day: date, winner: str, found: dict[str, dict[str, float]], metrics: Iterable[str]
) -> list[dict[str, Any]]:
    return [
        {
            "model": model,
            "test": str(day),
            "candidate": name,
            "is_winner": name == winner,
            "metrics": {metric: found[name][metric] for metric in metrics},
            "seconds": found[name]["seconds"],
        }
        for name in SHOWN[model]
    ]
