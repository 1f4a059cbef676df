"""Value tiers: `vip`, `regular`, `potential`, `low`.

Belongs here: two methods that predict tiers, cut-offs and a classifier. Does not belong here: expected revenue
(`candidates`).

The actual tier depends on the spend within the horizon: `vip` is at least the spend of the top 5% of the validation
customers, `regular` at least that of the top 20%, `potential` anything above 0, `low` nothing.

Cut-offs on the expected revenue are set so that each tier has the same share of customers as on validation. The softmax
is a multinomial logistic regression on the expected revenue and the other columns. Both are evaluated on the later
test period, and the better one is used.
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
    """Map expected revenue (and, for `softmax`, the feature matrix) to tiers.

    actual_limits: spend within the horizon from which a customer is actually `regular` and `vip`. limits: expected
    revenue from which a customer is predicted `potential`, `regular` and `vip`.
    """

    method: Method
    actual_limits: tuple[float, float]
    limits: tuple[float, float, float]
    classifier: Any = None

    def __call__(self, expected: Floats, x: pd.DataFrame) -> Texts:
        """Return the tier of each of n customers. expected: revenue at the forecast level; x: feature matrix."""
        if self.method == "softmax":
            return np.asarray(self.classifier.predict(_columns(expected, x)), dtype=object)
        return _cut(expected, self.limits)

    def actual(self, revenue: Floats) -> Texts:
        """Return the actual tier for net revenue within the horizon, shape (n,)."""
        return _cut(revenue, (np.nextafter(0, 1), *self.actual_limits))

    def probabilities(self, expected: Floats, x: pd.DataFrame) -> pd.DataFrame:
        """Return the softmax probability of each tier, n rows, columns as in TIERS, whatever the method."""
        probabilities = pd.DataFrame(
            self.classifier.predict_proba(_columns(expected, x)),
            columns=self.classifier.classes_,
            index=x.index,
        )
        return probabilities.reindex(columns=list(TIERS), fill_value=0.0)

    def using(self, method: Method) -> "Tiers":
        """Return a copy that uses `method`."""
        return replace(self, method=method)

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the classifier, as JSON-serializable values."""
        return {"method": self.method, "actual_limits": list(self.actual_limits), "limits": list(self.limits)}

    @classmethod
    def from_dict(cls, state: dict[str, Any], classifier: Any = None) -> "Tiers":
        """Return the tiers from the result of `as_dict` and the classifier."""
        return cls(state["method"], tuple(state["actual_limits"]), tuple(state["limits"]), classifier)


def fit_tiers(expected: Sequence[Floats], actual: Sequence[Floats], x: Sequence[pd.DataFrame]) -> Tiers:
    """Fit both methods on validation snapshots, each with expected revenue, actual revenue and feature matrix."""
    predicted, observed = np.concatenate(expected), np.concatenate(actual)
    regular, vip = (max(float(np.quantile(observed, 1 - share)), np.nextafter(0, 1)) for share in SHARES)
    above = [float(np.mean(observed >= limit)) for limit in (np.nextafter(0, 1), regular, vip)]
    limits = tuple(float(np.quantile(predicted, 1 - share)) for share in above)
    tiers = Tiers("cutoffs", (regular, vip), (limits[0], limits[1], limits[2]))
    true = tiers.actual(observed).astype(str)
    if len(np.unique(true)) == 1:
        return tiers  # a single tier: there is nothing to classify, so use the cut-offs only
    softmax = LogisticRegression(C=0.1, max_iter=1000)
    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    pipeline = Pipeline([("fill", fill), ("scale", StandardScaler()), ("model", softmax)])
    pipeline.fit(_columns(predicted, pd.concat(list(x))), true)
    return replace(tiers, classifier=pipeline)


def evaluate_tier_methods(tiers: Tiers, expected: Floats, actual: Floats, x: pd.DataFrame) -> pd.DataFrame:
    """Evaluate both methods on a later snapshot: one row for each, the better one first.

    Columns: method, macro_f1 (mean F1 over the tiers, the criterion), accuracy, revenue_vip (share of all revenue from
    the customers predicted vip), expected_vip and actual_vip (their mean expected and actual revenue, missing if there
    are none). The actual mean of a top tier is below the expected one (regression to the mean): customers are in it
    partly because their expectation is too high.
    """
    true, rows = tiers.actual(actual), []
    methods: tuple[Method, ...] = ("cutoffs",) if tiers.classifier is None else ("cutoffs", "softmax")
    for method in methods:
        predicted = tiers.using(method)(expected, x)
        is_vip = predicted == "vip"
        rows.append(
            {
                "method": method,
                "macro_f1": float(
                    f1_score(true, predicted, labels=list(TIERS), average="macro", zero_division=0.0)
                ),
                "accuracy": float(np.mean(true == predicted)),
                "revenue_vip": float(actual[is_vip].sum() / actual.sum()),
                "expected_vip": float(expected[is_vip].mean()) if is_vip.any() else float("nan"),
                "actual_vip": float(actual[is_vip].mean()) if is_vip.any() else float("nan"),
            }
        )
    return pd.DataFrame(rows).sort_values(["macro_f1", "method"], ascending=[False, True], ignore_index=True)


def _cut(amounts: Floats, limits: Sequence[float]) -> Texts:
    return np.array(TIERS, dtype=object)[np.searchsorted(np.asarray(limits), amounts, side="right")]


def _columns(expected: Floats, x: pd.DataFrame) -> Floats:
    return np.column_stack([np.log1p(expected), x.to_numpy(dtype=float)])
