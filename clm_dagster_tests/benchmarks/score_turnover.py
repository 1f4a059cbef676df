"""Turnover of the top decile of churn scores from week to week, with the mean of the last one, two and three trainings.

Belongs here: trainings, weekly scores, and what their turnover, ranking and calibration are. Does not: loading shops
(`loaded_shops`), output (`report_models`).

Trainings are `EVERY` weeks apart, and each counts if it passes its gate. A week is scored by the newest k trainings at
or before it. All k are compared in the same weeks, those by which three trainings exist. The level of a week is
forecast once and is the same for all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.churn import purchase_model
from clm_dagster.domains.churn.base_rate import BaseRates
from clm_dagster.domains.churn.candidates import candidates, log_odds
from clm_dagster.domains.churn.evaluate import evaluate_candidates
from clm_dagster.domains.churn.features import by_snapshot, derive, known_labels, labels_by_snapshot
from clm_dagster.domains.churn.model import ChurnModel
from clm_dagster.domains.churn.turnover import top_decile
from clm_dagster.platform.trained_models.snapshots import newest_mature_snapshot
from clm_dagster.statistics.btyd import BGNBD
from clm_dagster.statistics.evaluation import (
    EvaluationError,
    calibrate_to_rate,
    calibration_error,
    evaluation_plan,
    fast_auc,
    fast_log_loss,
    level_snapshots,
    safe_logit,
    shifted_to_mean,
)
from clm_dagster_tests.benchmarks.loaded_shops import LoadedShop

Floats = NDArray[np.float64]
COUNTS = (1, 2, 3)
CANDIDATES = ("recency", "bgnbd", "logistic", "boosting")
# Weeks between two trainings.
EVERY = {"online_retail_ii": 4, "simulated": 8}
FOREVER = date(9999, 1, 1)


@dataclass(frozen=True)
class Week:
    """The scores of one snapshot by method, indexed by customer. is_new: whether a training is of this snapshot."""

    day: date
    scores: pd.DataFrame
    labels: Floats | None
    is_new: bool


@dataclass
class Weeks:
    """Frames, purchase models and levels of the snapshots of a shop; each is computed once."""

    shop: LoadedShop
    frames: dict[date, pd.DataFrame] = field(default_factory=dict)
    labels: pd.DataFrame = field(default_factory=pd.DataFrame)
    purchases: dict[date, BGNBD] = field(default_factory=dict)

    def read(self, days: Sequence[date]) -> None:
        """Read these snapshots and fit their purchase models."""
        features, self.labels = self.shop.churn(days, FOREVER)
        self.frames = by_snapshot(features, self.shop.churn_settings.active_days)
        self.purchases = purchase_model.fit_all(self.frames)

    def rate(self, day: date) -> float:
        """Return the churn rate that is forecast for a snapshot with what was known at it."""
        settings = self.shop.churn_settings
        grid = [one for one in level_snapshots(day, self.shop.first, settings) if one in self.frames]
        mature = [one for one in grid if one + timedelta(days=settings.horizon_days) <= day]
        by_day = labels_by_snapshot(self.labels)
        known = {one: known_labels(self.frames, by_day, one) for one in mature}
        rates = BaseRates(
            {one: self.frames[one] for one in grid},
            {one: found for one, found in known.items() if found is not None},
            {one: self.purchases[one] for one in grid if one in self.purchases},
            settings.horizon_days,
            settings.spacing_days,
        )
        return rates.forecast(day, mature).rate


def measure(name: str, reference: str, folder: str, newest: int = 27) -> dict[str, Any]:
    """Train, score the newest weeks from the third training on, and compare the means."""
    every = EVERY[name]
    shop = LoadedShop.open(name, reference, folder)
    trained = trainings(shop, every)
    found: dict[str, Any] = {"shop": name, "every": every, "trainings": [str(day) for day in trained]}
    if len(trained) < max(COUNTS):
        return found | {"rows": [], "weeks": 0}
    start = list(trained)[max(COUNTS) - 1]
    days = [day for day in shop.weeks if day >= start][-newest:]
    settings = shop.churn_settings
    weeks = Weeks(shop)
    weeks.read(sorted({one for day in days for one in level_snapshots(day, shop.first, settings)}))
    scored = [_week(weeks, day, trained) for day in days]
    rows = [_row(shop, scored, str(method)) for method in scored[0].scores]
    return found | {"rows": rows, "weeks": len(scored)}


def trainings(shop: LoadedShop, every: int) -> dict[date, ChurnModel]:
    """Return the models of the trainings that pass their gates, by as_of."""
    settings = shop.churn_settings
    found: dict[date, ChurnModel] = {}
    for day in shop.weeks:
        if day.toordinal() // 7 % every:
            continue
        test = newest_mature_snapshot(day, settings.horizon_days)
        try:
            plan = evaluation_plan(test, shop.first, settings)
            chosen = [one for one in candidates() if one.name in CANDIDATES]
            result = evaluate_candidates(*shop.churn(plan.snapshots, day), plan, settings, chosen)
        except EvaluationError:
            continue
        champion = None
        if found:
            rate = result.base_rate.rate
            before = list(found.values())[-1].scores(result.inputs.frames[test], rate, reasons=0)
            champion = before["churn_probability"].to_numpy()
        if result.verdict(settings, champion).accepted:
            found[day] = result.model
    return found


def _week(weeks: Weeks, day: date, trained: Mapping[date, ChurnModel]) -> Week:
    frame, rate = weeks.frames[day], weeks.rate(day)
    newest_first = [model for at, model in sorted(trained.items(), reverse=True) if at <= day]
    models = newest_first[: max(COUNTS)]
    x = derive(frame, weeks.purchases[day], weeks.shop.churn_settings.horizon_days)
    raw = [log_odds(model.estimator, x[list(model.columns)]) for model in models]
    each = [calibrate_to_rate(z, model.shape, rate)(z) for z, model in zip(raw, models, strict=True)]
    scores: dict[str, Floats] = {}
    for k in COUNTS:
        mean = np.mean(raw[:k], axis=0)
        scores[f"{k} log-odds"] = calibrate_to_rate(mean, models[0].shape, rate)(mean)
        scores[f"{k} probabilities"] = np.mean(each[:k], axis=0)
        scores[f"{k} calibrated log-odds"] = shifted_to_mean(
            np.mean([safe_logit(p) for p in each[:k]], axis=0), rate
        )
    labels = known_labels(weeks.frames, labels_by_snapshot(weeks.labels), day)
    return Week(
        day, pd.DataFrame(scores, index=frame["customer_id"].to_numpy(object)), labels, day in trained
    )


def _row(shop: LoadedShop, weeks: Sequence[Week], method: str) -> dict[str, Any]:
    turnovers = [_turnover(shop, *pair, method) for pair in pairwise(weeks)]
    at_training = [week.is_new for week in weeks[1:]]
    table = pd.DataFrame(turnovers)
    row: dict[str, Any] = {"method": method, **table.mean()}
    row["at_trainings"] = table["without_event"][at_training].mean()
    row["between"] = table["without_event"][~np.array(at_training)].mean()
    graded = [(week.labels, week.scores[method].to_numpy()) for week in weeks if week.labels is not None]
    for name, metric in {
        "auc": fast_auc,
        "log_loss": fast_log_loss,
        "calibration_error": calibration_error,
    }.items():
        row[name] = float(np.mean([metric(y, p) for y, p in graded]))
    return row | {"graded": len(graded)}


def _turnover(shop: LoadedShop, before: Week, after: Week, method: str) -> dict[str, float]:
    """Return the shares of the top decile that left it: in total, without an event, and no longer scored."""
    top, now = (top_decile(pd.Series(week.scores.index), week.scores[method]) for week in (before, after))
    active = shop.active_between(before.day, after.day)
    left = top - now
    gone = left - set(after.scores.index)
    return {
        "left": len(left) / len(top),
        "without_event": len(left - gone - active) / len(top),
        "no_longer_scored": len(gone) / len(top),
    }
