"""Pareto/NBD: random purchases, and customers who can drop out at any time.

While alive, a customer buys as a Poisson process of rate lambda ~ Gamma(r, alpha). Their lifetime is
exponential with rate mu ~ Gamma(s, beta).

Belongs here: the likelihood and the predictions of this model. Does not: the optimisation (`fitting`).

Sources: Schmittlein, Morrison and Colombo 1987, Management Science 33(1); formulas from Fader and Hardie 2005,
"A note on deriving the Pareto/NBD model". Their 2F1 represents an integral over the drop-out time. Here the
integral is computed by quadrature, which also gives an analytic gradient.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import digamma, exprel, gammaln

from clm_dagster.statistics.btyd.durations import Duration, Floats
from clm_dagster.statistics.btyd.histories import Histories
from clm_dagster.statistics.btyd.purchases import PurchaseModel

ROOTS, SHARES = np.polynomial.legendre.leggauss(20)
NODES, LOG_SHARES = (1 + ROOTS) / 2, np.log(SHARES / 2)
FALL = 36.0
CHUNK = 5_000
THREADS = 2


@dataclass(frozen=True)
class ParetoNBD(PurchaseModel):
    """Pareto/NBD with the paper's parameters; alpha and beta are times, in `unit`."""

    RATES: ClassVar[tuple[str, ...]] = ("alpha", "beta")
    START: ClassVar[dict[str, float]] = {"r": 0.5, "alpha": 0.25, "s": 0.5, "beta": 0.25}

    r: float
    alpha: float
    s: float
    beta: float

    @classmethod
    def _objective(
        cls, x: Floats, t_x: Floats, t: Floats, weights: Floats
    ) -> Callable[[Floats], tuple[float, Floats]]:
        counts, which = np.unique(x, return_inverse=True)
        weight_of = np.bincount(which, weights)
        total = weight_of.sum()

        def objective(theta: Floats) -> tuple[float, Floats]:
            r, alpha, s, beta = np.exp(theta)
            value = weight_of @ (gammaln(r + counts) - gammaln(r))
            value += total * (r * np.log(alpha) + s * np.log(beta))
            gradient = np.array(
                [
                    weight_of @ (digamma(r + counts) - digamma(r)) + total * np.log(alpha),
                    total * r / alpha,
                    total * np.log(beta),
                    total * s / beta,
                ]
            )

            def chunk_terms(rows: slice) -> tuple[float, Floats]:
                part = _NoPurchaseTerms.of(r + x[rows], alpha, s, beta, t_x[rows], t[rows])
                return float(weights[rows] @ part.log_total), part.gradient(weights[rows])

            with ThreadPoolExecutor(THREADS) as pool:  # numpy releases the interpreter lock
                for part_value, part_gradient in pool.map(chunk_terms, _chunks(x.size)):
                    value += part_value
                    gradient += part_gradient
            return float(value), gradient * np.exp(theta)

        return objective

    def log_likelihood(self, histories: Histories) -> Floats:
        """Return the log-likelihood of each history, shape (n,); purchase times are densities per `unit`.

        log L = ln G(r+x)/G(r) + r ln alpha + s ln beta + ln[(alpha+T)^-(r+x) (beta+T)^-s
                + s integral from t_x to T of (alpha+y)^-(r+x) (beta+y)^-(s+1) dy].
        """
        x, t_x, t = self._read(histories)
        before = gammaln(self.r + x) - gammaln(self.r) + self.r * np.log(self.alpha)
        likelihood: Floats = before + self.s * np.log(self.beta) + self._no_purchase_terms(x, t_x, t)[0]
        return likelihood

    def probability_alive(self, histories: Histories) -> Floats:
        """Return P(alive) at as_of, shape (n,): the share of the "alive" term in the bracket of the likelihood.

        1 - P(alive) is not a churn probability: a living customer may still not buy.
        """
        return self._no_purchase_terms(*self._read(histories))[1]

    def probability_of_no_purchase(self, histories: Histories, horizon: Duration) -> Floats:
        """Return P(no purchase in the horizon after as_of), shape (n,).

        1 - P(alive) (1 - P0), where P0 is the likelihood of a history without purchases, as long as the horizon,
        under the parameters r+x, alpha+T, s, beta+T.
        """
        x, t_x, t = self._read(histories)
        ahead = np.broadcast_to(self._horizon(histories, horizon), x.shape)
        alive = self._no_purchase_terms(x, t_x, t)[1]
        none_if_alive = np.empty(x.size)
        for rows in _chunks(x.size):
            r, alpha, beta = self.r + x[rows], self.alpha + t[rows], self.beta + t[rows]
            part = _NoPurchaseTerms.of(r, alpha, self.s, beta, np.zeros(r.size), ahead[rows])
            none_if_alive[rows] = np.exp(r * np.log(alpha) + self.s * np.log(beta) + part.log_total)
        return np.clip(1 - alive * (1 - none_if_alive), 0, 1)

    def expected_purchases(self, histories: Histories, horizon: Duration) -> Floats:
        """Return the expected purchases in the horizon after as_of, shape (n,).

        P(alive) (r+x)(beta+T) / ((alpha+T)(s-1)) [1 - ((beta+T)/(beta+T+t))^(s-1)]; the limit at s = 1.
        """
        x, _, t = self._read(histories)
        longer = np.log1p(self._horizon(histories, horizon) / (self.beta + t))
        alive_time = (self.beta + t) * longer * exprel(-(self.s - 1) * longer)
        purchases: Floats = self.probability_alive(histories) * (self.r + x) / (self.alpha + t) * alive_time
        return purchases

    def _no_purchase_terms(self, x: Floats, t_x: Floats, t: Floats) -> tuple[Floats, Floats]:
        """Return the log of the bracket of the likelihood, and the share of its "alive" term, both of shape (n,)."""
        total, alive = np.empty(x.size), np.empty(x.size)
        for rows in _chunks(x.size):
            part = _NoPurchaseTerms.of(self.r + x[rows], self.alpha, self.s, self.beta, t_x[rows], t[rows])
            total[rows], alive[rows] = part.log_total, part.alive
        return total, alive


@dataclass(frozen=True, eq=False)
class _NoPurchaseTerms:
    """The terms of the likelihood for the time without purchases from t_x to T: still alive, or dropped out at y.

    y is evaluated at quadrature nodes. They are Gauss-Legendre nodes in ln(m+y), m = min(alpha, beta), where the
    integrand is nearly exponential. They end at T, or where the integrand has fallen by e^-FALL, so that a few
    nodes suffice for any number of purchases.
    """

    k: Floats
    alpha: Floats
    s: float
    beta: Floats
    t: Floats
    y: Floats
    log_a: Floats
    log_b: Floats
    log_total: Floats
    alive: Floats
    dropped_out: Floats

    @classmethod
    def of(
        cls, k: Floats, alpha: float | Floats, s: float, beta: float | Floats, t_x: Floats, t: Floats
    ) -> "_NoPurchaseTerms":
        alpha, beta = np.broadcast_to(alpha, t.shape), np.broadcast_to(beta, t.shape)
        m = np.minimum(alpha, beta)
        with np.errstate(over="ignore"):  # a bound that is never reached
            fallen = np.minimum((alpha + t_x) * np.expm1(FALL / k), (beta + t_x) * np.expm1(FALL / s))
        width = np.log1p(np.minimum(t - t_x, fallen) / (m + t_x))
        log_growth = width[:, None] * NODES  # ln((m+y)/(m+t_x))
        y = t_x[:, None] + (m + t_x)[:, None] * np.expm1(log_growth)
        log_a, log_b = np.log(alpha[:, None] + y), np.log(beta[:, None] + y)
        with np.errstate(divide="ignore"):  # the width is 0 if t_x = T
            log_width = np.log(s * width * (m + t_x))
        log_dropped_out = log_width[:, None] + log_growth + LOG_SHARES - k[:, None] * log_a - (s + 1) * log_b
        log_alive = -k * np.log(alpha + t) - s * np.log(beta + t)
        largest = np.maximum(log_alive, log_dropped_out.max(axis=1))
        log_total = largest + np.log(
            np.exp(log_alive - largest) + np.exp(log_dropped_out - largest[:, None]).sum(axis=1)
        )
        alive, dropped_out = np.exp(log_alive - log_total), np.exp(log_dropped_out - log_total[:, None])
        return cls(k, alpha, s, beta, t, y, log_a, log_b, log_total, alive, dropped_out)

    def gradient(self, weights: Floats) -> Floats:
        """Return the gradient of the weighted sum of `log_total` in r, alpha, s, beta: the average over the terms."""
        alive, dropped_out = weights * self.alive, weights[:, None] * self.dropped_out
        a_now, b_now = self.alpha + self.t, self.beta + self.t
        a_at_nodes, b_at_nodes = self.alpha[:, None] + self.y, self.beta[:, None] + self.y
        total_dropped_out = dropped_out.sum()
        return np.array(
            [
                -alive @ np.log(a_now) - np.sum(dropped_out * self.log_a),
                -alive @ (self.k / a_now) - np.sum(dropped_out * self.k[:, None] / a_at_nodes),
                -alive @ np.log(b_now) - np.sum(dropped_out * self.log_b) + total_dropped_out / self.s,
                -alive @ (self.s / b_now) - np.sum(dropped_out * (self.s + 1) / b_at_nodes),
            ]
        )


def _chunks(size: int) -> Iterator[slice]:
    return (slice(low, min(low + CHUNK, size)) for low in range(0, size, CHUNK))
