"""Uplift learners on Hillstrom's e-mail experiment, beside a random ranking and a ranking by response.

Belongs here: the trial, the candidates, means over splits, intervals and the gate. Does not: output
(`report_actions`).

The ridge of the X-learner was chosen for the women's mail on splits with the seeds 100 to 109. The splits here have the
seeds 0 to 4; they hold the same customers.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from clm_dagster.statistics.uplift import (
    DRLearner,
    Learner,
    RLearner,
    SLearner,
    TLearner,
    TransformedOutcome,
    XLearner,
    qini_area,
    qini_intervals,
    uplift_verdict,
)

FILE = "hillstrom/hillstrom.parquet"
MAILS = ("womens", "mens")
SEEDS = tuple(range(5))
CHOSEN = "x_learner"
NUMBERS = ["recency", "history", "mens", "womens", "newbie"]
Trial = tuple[np.ndarray, np.ndarray, np.ndarray]


def boosting() -> Any:
    """Return the model of outcomes of all candidates."""
    return HistGradientBoostingClassifier(max_iter=60, learning_rate=0.05, max_leaf_nodes=15, random_state=0)


def candidates() -> dict[str, Learner]:
    """Return the learners by name. `x_learner_plain` is the reference of issue 22 with 38.2."""
    strong, plain = (make_pipeline(StandardScaler(), Ridge(alpha)) for alpha in (10_000.0, 1.0))
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    return {
        CHOSEN: XLearner(boosting(), strong),
        "x_learner_plain": XLearner(boosting(), plain),
        "s_learner_logistic": SLearner(logistic),
        "t_learner": TLearner(boosting()),
        "r_learner": RLearner(boosting(), strong),
        "dr_learner": DRLearner(boosting(), strong),
        "transformed": TransformedOutcome(effect_model=strong),
    }


def trial(file: Path, mail: str) -> Trial:
    """Return features, treatment and visits of one mail against none."""
    raw = pd.read_parquet(file)
    frame = raw[raw["segment"].isin([f"{mail.capitalize()} E-Mail", "No E-Mail"])]
    features = pd.get_dummies(frame[[*NUMBERS, "zip_code", "channel"]], dtype=float)
    features["log_history"] = np.log(features["history"])
    treated = (frame["segment"] != "No E-Mail").to_numpy(dtype=float)
    return features.to_numpy(dtype=float), treated, frame["visit"].to_numpy(dtype=float)


def rankings(data: Trial, fit: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    """Return the score of each test customer by candidate, fitted on the other customers."""
    x, t, y = data
    mailed = fit[t[fit] == 1]
    with threadpool_limits(limits=1):
        response = boosting().fit(x[mailed], y[mailed]).predict_proba(x[test])[:, 1]
        either = boosting().fit(x[fit], y[fit]).predict_proba(x[test])[:, 1]
    random = np.random.default_rng(len(fit) + int(fit[0])).random(len(test))
    found = {"random": random, "response": response, "response_of_all": either}
    for name, learner in candidates().items():
        found[name] = learner.fit(x[fit], t[fit], y[fit]).predict(x[test])
    return found


def halves(treatment: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of both halves, with equal shares of both arms."""
    first, second = train_test_split(
        np.arange(len(treatment)), test_size=0.5, random_state=seed, stratify=treatment
    )
    return first, second


def mean_areas(data: Trial, seeds: tuple[int, ...] = SEEDS) -> dict[str, list[float]]:
    """Return the Qini area per 10,000 customers of each candidate on each split."""
    found: dict[str, list[float]] = {}
    for seed in seeds:
        fit, test = halves(data[1], seed)
        for name, score in rankings(data, fit, test).items():
            found.setdefault(name, []).append(qini_area(score, data[1][test], data[2][test]))
    return found


def judged(data: Trial, seed: int = 0) -> dict[str, Any]:
    """Judge the chosen learner on all customers, each scored by a fit on the other half."""
    _, t, y = data
    first, second = halves(t, seed)
    scores = {name: np.empty(len(y)) for name in ("response", CHOSEN)}
    group = np.zeros(len(y))
    group[second] = 1
    for fit, test in ((first, second), (second, first)):
        found = rankings(data, fit, test)
        for name, score in scores.items():
            score[test] = found[name]
    interval = qini_intervals(scores, t, y, "response", groups=group)[CHOSEN]
    verdict = uplift_verdict(CHOSEN, interval)
    return {
        "area": [interval.area.value, interval.area.low, interval.area.high],
        "over_response": [
            interval.over_reference.value,
            interval.over_reference.low,
            interval.over_reference.high,
        ],
        "accepted": verdict.accepted,
        "verdict": str(verdict),
    }


def measure(file: str) -> dict[str, Any]:
    """Return mean areas and the verdict for both mails."""
    found: dict[str, Any] = {}
    for mail in MAILS:
        data = trial(Path(file), mail)
        areas = {name: [float(np.mean(a)), float(np.std(a))] for name, a in mean_areas(data).items()}
        found[mail] = {"areas": areas, **judged(data)}
    return found
