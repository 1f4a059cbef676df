"""Uplift learners on Hillstrom's e-mail experiment, beside a random ranking and a ranking by response.

Belongs here: the trial, the candidates, the choice inside each half, means over splits, intervals and the gate. Does
not: output (`report_actions`).

The candidates were developed for the women's mail on splits with the seeds 100 to 114. The splits here have the seeds
0 to 4. They hold the same customers, and what holds in one half by chance fails in the other. So whatever is learnt
from many splits is learnt from the test halves too: `x_learner_few` may show by how much. Its features were chosen that
way, and a choice inside each half does not find them. It is therefore not in CONTEST.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LassoCV, LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from clm_dagster.statistics.evaluation import Difference
from clm_dagster.statistics.uplift import (
    AveragedLearner,
    DRLearner,
    Learner,
    RLearner,
    Selection,
    SLearner,
    TLearner,
    TransformedOutcome,
    XLearner,
    qini_area,
    qini_intervals,
    select_learner,
    uplift_verdict,
)

FILE = "hillstrom/hillstrom.parquet"
MAILS = ("womens", "mens")
SEEDS = tuple(range(5))
SELECTED = "selected"
PLAIN = "x_learner_plain"
NUMBERS = ["recency", "mens", "womens", "newbie", "history"]
# Columns that the effect may depend on in `x_learner_few`; outcomes may depend on all of them.
FEW = slice(0, 4)
# What is chosen from inside each half, the fewest parameters of the effect first.
CONTEST = ("x_learner_lasso", "mean", "s_learner_logistic", "x_learner")
Trial = tuple[np.ndarray, np.ndarray, np.ndarray]


def boosting() -> Any:
    """Return small boosted trees, the model of outcomes of most candidates."""
    return HistGradientBoostingClassifier(max_iter=60, learning_rate=0.05, max_leaf_nodes=15, random_state=0)


def ridge(alpha: float) -> Any:
    """Return ridge regression on standardised features, the model of effects."""
    return make_pipeline(StandardScaler(), Ridge(alpha))


def candidates() -> dict[str, Learner]:
    """Return the learners by name. `x_learner_plain` is the reference of issue 22 with 38.2."""
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    few = make_pipeline(ColumnTransformer([("few", "passthrough", FEW)]), ridge(3_000.0))
    strong = ridge(10_000.0)
    one, two = SLearner(logistic), XLearner(boosting(), strong)
    return {
        "x_learner_few": XLearner(boosting(), few),
        "x_learner_lasso": XLearner(boosting(), make_pipeline(StandardScaler(), LassoCV(alphas=30))),
        "mean": AveragedLearner([one, two]),
        "s_learner_logistic": one,
        "x_learner": two,
        PLAIN: XLearner(boosting(), ridge(1.0)),
        "t_learner": TLearner(boosting()),
        "r_learner": RLearner(boosting(), strong),
        "dr_learner": DRLearner(boosting(), strong),
        "transformed": TransformedOutcome(effect_model=strong),
    }


def selection(data: Trial, fit: np.ndarray) -> Selection:
    """Choose between the learners of CONTEST on one half, by folds inside it."""
    x, t, y = data
    named = candidates()
    return select_learner({name: named[name] for name in CONTEST}, x[fit], t[fit], y[fit])


def trial(file: Path, mail: str) -> Trial:
    """Return features, treatment and visits of one mail against none."""
    raw = pd.read_parquet(file)
    frame = raw[raw["segment"].isin([f"{mail.capitalize()} E-Mail", "No E-Mail"])]
    features = pd.get_dummies(frame[[*NUMBERS, "zip_code", "channel"]], dtype=float)
    features["log_history"] = np.log(features["history"])
    treated = (frame["segment"] != "No E-Mail").to_numpy(dtype=float)
    return features.to_numpy(dtype=float), treated, frame["visit"].to_numpy(dtype=float)


def rankings(data: Trial, fit: np.ndarray, test: np.ndarray) -> tuple[dict[str, np.ndarray], str]:
    """Return the score of each test customer by candidate, fitted on the other customers, and which one is selected."""
    x, t, y = data
    mailed = fit[t[fit] == 1]
    with threadpool_limits(limits=1):
        response = boosting().fit(x[mailed], y[mailed]).predict_proba(x[test])[:, 1]
        either = boosting().fit(x[fit], y[fit]).predict_proba(x[test])[:, 1]
    random = np.random.default_rng(len(fit) + int(fit[0])).random(len(test))
    found = {"random": random, "response": response, "response_of_all": either}
    for name, learner in candidates().items():
        found[name] = learner.fit(x[fit], t[fit], y[fit]).predict(x[test])
    winner = selection(data, fit).winner
    return {**found, SELECTED: found[winner]}, winner


def halves(treatment: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of both halves, with equal shares of both arms."""
    first, second = train_test_split(
        np.arange(len(treatment)), test_size=0.5, random_state=seed, stratify=treatment
    )
    return first, second


def areas_by_split(data: Trial, seeds: tuple[int, ...] = SEEDS) -> tuple[dict[str, list[float]], list[str]]:
    """Return the Qini area per 10,000 customers of each candidate on each split, and the winner on each split."""
    found: dict[str, list[float]] = {}
    winners = []
    for seed in seeds:
        fit, test = halves(data[1], seed)
        scores, winner = rankings(data, fit, test)
        winners.append(winner)
        for name, score in scores.items():
            found.setdefault(name, []).append(qini_area(score, data[1][test], data[2][test]))
    return found, winners


def judged(data: Trial, seed: int = 0) -> dict[str, Any]:
    """Judge the choice on all customers, each scored by a choice and a fit on the other half.

    The two intervals over other rankings are of resampled customers, so they say what five splits cannot.
    """
    _, t, y = data
    first, second = halves(t, seed)
    scores = {name: np.empty(len(y)) for name in ("response", PLAIN, SELECTED)}
    group = np.zeros(len(y))
    group[second] = 1
    for fit, test in ((first, second), (second, first)):
        found, _ = rankings(data, fit, test)
        for name, score in scores.items():
            score[test] = found[name]
    over = {
        reference: qini_intervals(scores, t, y, reference, groups=group)[SELECTED]
        for reference in ("response", PLAIN)
    }
    verdict = uplift_verdict(SELECTED, over["response"])
    return {
        "area": _numbers(over["response"].area),
        "over_response": _numbers(over["response"].over_reference),
        "over_plain": _numbers(over[PLAIN].over_reference),
        "accepted": verdict.accepted,
        "verdict": str(verdict),
    }


def measure(file: str) -> dict[str, Any]:
    """Return, for both mails, mean areas, the difference to the plain learner by split, winners and the verdict."""
    found: dict[str, Any] = {}
    for mail in MAILS:
        data = trial(Path(file), mail)
        by_split, winners = areas_by_split(data)
        found[mail] = {
            "areas": {name: _mean(areas) for name, areas in by_split.items()},
            "over_plain_by_split": {
                name: _mean(np.subtract(areas, by_split[PLAIN])) for name, areas in by_split.items()
            },
            "winners": winners,
            **judged(data),
        }
    return found


def _mean(values: Any) -> list[float]:
    return [float(np.mean(values)), float(np.std(values))]


def _numbers(difference: Difference) -> list[float]:
    return [difference.value, difference.low, difference.high]
