"""Value tiers: `vip`, `regular`, `potential`, `low`. Belongs here: cut-offs and a classifier over tiers.

What a customer's tier really was is told by what he spent within the horizon: `vip` is at least what the best 5% of
the validation customers spent, `regular` what the best 20% did, `potential` is anything above 0, `low` nothing.

Two ways to say it before. Plain cut-offs on the expected revenue, put where as many customers lie above as
came to lie above on validation. And a softmax over tiers: a multinomial logistic regression on the expected
revenue and the other columns. Both are judged on the later period, and the better one is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

Floats = NDArray[np.float64]
Texts = NDArray[np.object_]
Method = Literal["cutoffs", "softmax"]

TIERS = ("low", "potential", "regular", "vip")
SHARES = (0.2, 0.05)  # of customers, at least regular and at least vip


@dataclass(frozen=True)
class Tiers:
    """From expected revenue, and for `softmax` the matrix, to tiers.

    actual_limits: money within the horizon from which a customer was `regular`, `vip`. limits: expected money from
    which he is said to be `potential`, `regular`, `vip`.
    """

    method: Method
    actual_limits: tuple[float, float]
    limits: tuple[float, float, float]
    classifier: Any = None

    def __call__(self, expected: Floats, x: pd.DataFrame) -> Texts:
        """The tier of each of n customers, text; expected: revenue at the forecast level, x: their matrix."""
        if self.method == "softmax":
            return np.asarray(self.classifier.predict(_columns(expected, x)), dtype=object)
        return _cut(expected, self.limits)

    def actual(self, revenue: Floats) -> Texts:
        """The tier that net revenue within the horizon amounts to, shape (n,)."""
        return _cut(revenue, (np.nextafter(0, 1), *self.actual_limits))

    def probabilities(self, expected: Floats, x: pd.DataFrame) -> pd.DataFrame:
        """Softmax: the probability of each tier, n rows, columns in the order of TIERS; whatever the method."""
        said = pd.DataFrame(
            self.classifier.predict_proba(_columns(expected, x)),
            columns=self.classifier.classes_,
            index=x.index,
        )
        return said.reindex(columns=list(TIERS), fill_value=0.0)

    def using(self, method: Method) -> "Tiers":
        """The same by another way."""
        return replace(self, method=method)

    def as_dict(self) -> dict[str, Any]:
        """Everything but the classifier, for JSON."""
        return {"method": self.method, "actual_limits": list(self.actual_limits), "limits": list(self.limits)}

    @classmethod
    def from_dict(cls, told: dict[str, Any], classifier: Any = None) -> "Tiers":
        """What `as_dict` told, with the classifier."""
        return cls(told["method"], tuple(told["actual_limits"]), tuple(told["limits"]), classifier)


def fit_tiers(expected: Sequence[Floats], actual: Sequence[Floats], x: Sequence[pd.DataFrame]) -> Tiers:
    """Fit both ways on validation snapshots: expected and actual money and the matrix, one of each."""
    said, came = np.concatenate(expected), np.concatenate(actual)
    regular, vip = (max(float(np.quantile(came, 1 - share)), np.nextafter(0, 1)) for share in SHARES)
    above = [float(np.mean(came >= limit)) for limit in (np.nextafter(0, 1), regular, vip)]
    limits = tuple(float(np.quantile(said, 1 - share)) for share in above)
    tiers = Tiers("cutoffs", (regular, vip), (limits[0], limits[1], limits[2]))
    true = tiers.actual(came).astype(str)
    if len(np.unique(true)) == 1:
        return tiers  # one tier for all: there is nothing to tell apart, and the cut-offs stand alone
    softmax = LogisticRegression(C=0.1, max_iter=1000)
    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    pipeline = Pipeline([("fill", fill), ("scale", StandardScaler()), ("model", softmax)])
    pipeline.fit(_columns(said, pd.concat(list(x))), true)
    return replace(tiers, classifier=pipeline)


def judge_tiers(tiers: Tiers, expected: Floats, actual: Floats, x: pd.DataFrame) -> pd.DataFrame:
    """Both ways on a later snapshot: one row for each, the better first.

    Columns: method, macro_f1 (mean of the tiers' F1, by which they are compared), accuracy, revenue_vip (share of all
    revenue that those said to be vip brought).
    """
    true, rows = tiers.actual(actual), []
    methods: tuple[Method, ...] = ("cutoffs",) if tiers.classifier is None else ("cutoffs", "softmax")
    for method in methods:
        said = tiers.using(method)(expected, x)
        rows.append(
            {
                "method": method,
                "macro_f1": float(
                    f1_score(true, said, labels=list(TIERS), average="macro", zero_division=0.0)
                ),
                "accuracy": float(np.mean(true == said)),
                "revenue_vip": float(actual[said == "vip"].sum() / actual.sum()),
            }
        )
    return pd.DataFrame(rows).sort_values(["macro_f1", "method"], ascending=[False, True], ignore_index=True)


def _cut(amounts: Floats, limits: Sequence[float]) -> Texts:
    return np.array(TIERS, dtype=object)[np.searchsorted(np.asarray(limits), amounts, side="right")]


def _columns(expected: Floats, x: pd.DataFrame) -> Floats:
    return np.column_stack([np.log1p(expected), x.to_numpy(dtype=float)])
