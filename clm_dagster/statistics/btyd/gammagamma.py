"""Gamma-Gamma: the spend of a customer's purchase.

The value of a customer's purchases is distributed as Gamma(p, nu), and nu ~ Gamma(q, gamma) across customers.
Spend is independent of purchase frequency.

Belongs here: spend per purchase. Does not: the number of purchases.

Sources: Fader and Hardie 2013, "The Gamma-Gamma model of monetary value"; Fader, Hardie and Lee 2005, "RFM and
CLV", J. of Marketing Research 42(4).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma, gammaln

from clm_dagster.statistics.btyd.durations import Floats, finite, refuse
from clm_dagster.statistics.btyd.errors import FitError, HistoryError
from clm_dagster.statistics.btyd.fitting import Fit, maximise

START = {"p": 4.0, "q": 3.0, "gamma": 0.5}
"""Start of the search, with the mean spend as the unit of money: mean p gamma / (q-1) = 1."""


@dataclass(frozen=True)
class GammaGamma:
    """Gamma-Gamma. p and q have no unit; gamma is in the currency of the spends that the model was fitted on.

    Raises:
        HistoryError: a parameter is not above 0.
    """

    p: float
    q: float
    gamma: float

    def __post_init__(self) -> None:
        for name, value in {"p": self.p, "q": self.q, "gamma": self.gamma}.items():
            if not (np.isfinite(value) and value > 0):
                raise HistoryError(f"GammaGamma: {name} is a number above 0, not {value!r}")

    @classmethod
    def fit(
        cls, repeats: ArrayLike, mean_spend: ArrayLike, weights: ArrayLike | None = None
    ) -> Fit["GammaGamma"]:
        """Fit by maximum likelihood on the repeat buyers; other customers carry no information.

        Args:
            repeats: repeat purchases x, shape (n,); rows with 0 are ignored, so all customers can be passed.
            mean_spend: mean spend of a repeat purchase, shape (n,), from the calibration period only: spend
                of a later period would leak the target into the input.
            weights: number of customers that each row represents, shape (n,); None means one each.

        Raises:
            HistoryError: shapes differ, or a repeat buyer's mean spend is not above 0.
            FitError: fewer than two customers bought twice, or all of them spend the same.
        """
        x, z = _spends(repeats, mean_spend)
        w = np.ones_like(x) if weights is None else np.atleast_1d(finite(weights, "a weight"))
        if w.shape != x.shape:
            raise HistoryError(f"weights {w.shape} are not one per customer {x.shape}")
        refuse(w <= 0, w, "a weight is not above 0", "leave out rows without customers")
        refuse(
            (x > 0) & (z <= 0),
            z,
            "a repeat buyer's mean spend is not above 0",
            "exclude customers whose returns outweigh their purchases from the fit",
        )
        is_repeat = x > 0
        x, z, w = x[is_repeat], z[is_repeat], w[is_repeat]
        if w.sum() <= 1:
            raise FitError(
                f"{w.sum():g} customers bought twice, so differences in spend cannot be estimated;"
                " observe them longer, or use a model fitted on another period"
            )
        if np.ptp(z) <= 1e-9 * z.max():
            raise FitError(
                f"all {w.sum():g} customers who bought twice spend {z[0]:g} a purchase, so there is nothing"
                " to estimate; use that as the spend of every customer"
            )
        order = np.lexsort((w, z, x))  # so that sums do not depend on the order of rows
        x, z, w = x[order], z[order], w[order]
        scale = float(np.average(z, weights=w))
        z = z / scale

        def objective(theta: Floats) -> tuple[float, Floats]:
            p, q, gamma = np.exp(theta)
            log_all = np.log(gamma + x * z)
            psi = digamma(p * x + q)
            gradient = (
                (w * x) @ (psi - digamma(p * x) + np.log(x * z) - log_all),
                w @ (psi - digamma(q) + np.log(gamma) - log_all),
                w @ (q / gamma - (p * x + q) / (gamma + x * z)),
            )
            return float(w @ _log_density(p, q, gamma, x, z)), np.array(gradient) * np.exp(theta)

        theta, covariance, bound = maximise(objective, np.log(list(START.values())), float(w.sum()))
        p, q, gamma = np.exp(theta)
        model = cls(float(p), float(q), float(gamma * scale))
        return Fit(
            model=model,
            estimates={"p": model.p, "q": model.q, "gamma": model.gamma},
            log_likelihood=objective(theta)[0] - float(w.sum()) * float(np.log(scale)),
            customers=float(w.sum()),
            log_covariance=covariance,
            at_bound=tuple(list(START)[i] for i in bound),
        )

    def log_likelihood(self, repeats: ArrayLike, mean_spend: ArrayLike) -> Floats:
        """Return the log-density of the mean spend z of x repeat purchases, shape (n,); 0 where x is 0.

        ln G(px+q)/(G(px) G(q)) + q ln gamma + (px-1) ln z + px ln x - (px+q) ln(gamma + xz).

        Raises:
            HistoryError: shapes differ, or a repeat buyer's mean spend is not above 0.
        """
        x, z = _spends(repeats, mean_spend)
        refuse((x > 0) & (z <= 0), z, "a repeat buyer's mean spend is not above 0", "leave that customer out")
        density = _log_density(self.p, self.q, self.gamma, np.maximum(x, 1), np.where(x > 0, z, 1.0))
        return np.where(x > 0, density, 0.0)

    def expected_spend(self, repeats: ArrayLike, mean_spend: ArrayLike) -> Floats:
        """Return the expected spend per purchase of each customer, in the currency of the fit, shape (n,).

        E[Z | x, z] = p (gamma + xz) / (px + q - 1), which is between the customer's own mean and the population
        mean. One-time buyers (x = 0) get the population mean, p gamma / (q-1), whatever their z.

        Raises:
            HistoryError: shapes differ, or a repeat buyer's mean spend is negative.
            FitError: q <= 1, so that the mean is infinite for a customer.
        """
        x, z = _spends(repeats, mean_spend)
        refuse((x > 0) & (z < 0), z, "a repeat buyer's mean spend is negative", "give it as 0")
        freedom = self.p * x + self.q - 1
        if np.any(freedom <= 0):
            raise FitError(
                f"{np.sum(freedom <= 0)} customers have no finite expected spend, since q = {self.q:g} <= 1:"
                " spends are too heavy-tailed; cap the largest ones before fitting"
            )
        return self.p * (self.gamma + np.where(x > 0, x * z, 0.0)) / freedom


def _spends(repeats: ArrayLike, mean_spend: ArrayLike) -> tuple[Floats, Floats]:
    x = np.atleast_1d(finite(repeats, "the number of repeat purchases"))
    z = np.atleast_1d(finite(mean_spend, "a mean spend"))
    if x.ndim != 1 or x.shape != z.shape:
        raise HistoryError(f"repeats {x.shape} and mean spends {z.shape} are not one row per customer")
    refuse((x < 0) | (x != np.floor(x)), x, "repeat purchases are not a count", "give whole numbers")
    return x, z


def _log_density(p: float, q: float, gamma: float, x: Floats, z: Floats) -> Floats:
    px = p * x
    density: Floats = (
        gammaln(px + q)
        - gammaln(px)
        - gammaln(q)
        + q * np.log(gamma)
        + (px - 1) * np.log(z)
        + px * np.log(x)
        - (px + q) * np.log(gamma + x * z)
    )
    return density
