"""Pareto/NBD: purchases come at random, and a customer may leave at any time.

While alive a customer buys as a Poisson process of rate lambda ~ Gamma(r, alpha); his lifetime is
exponential with rate mu ~ Gamma(s, beta). Belongs here: its likelihood and answers. Does not: the search.

Source: Schmittlein, Morrison and Colombo 1987, Management Science 33(1); the formulas as in Fader and
Hardie 2005, "A note on deriving the Pareto/NBD model". Their 2F1 stands for an integral over the time of
leaving; here it is that integral, by quadrature, so that its gradient is analytic too.
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

            def silence(rows: slice) -> tuple[float, Floats]:
                part = _Silence.of(r + x[rows], alpha, s, beta, t_x[rows], t[rows])
                return float(weights[rows] @ part.log_total), part.gradient(weights[rows])

            with ThreadPoolExecutor(THREADS) as pool:  # numpy computes outside the interpreter's lock
                for part_value, part_gradient in pool.map(silence, _chunks(x.size)):
                    value += part_value
                    gradient += part_gradient
            return float(value), gradient * np.exp(theta)

        return objective

    def log_likelihood(self, histories: Histories) -> Floats:
        """Log-likelihood of each history, shape (n,); purchase times are densities per `unit`.

        log L = ln G(r+x)/G(r) + r ln alpha + s ln beta + ln[(alpha+T)^-(r+x) (beta+T)^-s
                + s integral from t_x to T of (alpha+y)^-(r+x) (beta+y)^-(s+1) dy].
        """
        x, t_x, t = self._read(histories)
        before = gammaln(self.r + x) - gammaln(self.r) + self.r * np.log(self.alpha)
        return before + self.s * np.log(self.beta) + self._silence(x, t_x, t)[0]

    def probability_alive(self, histories: Histories) -> Floats:
        """P(alive) at as_of, shape (n,): the share of "alive" in the likelihood's bracket.

        Its complement is no churn probability: who is alive may still not buy.
        """
        return self._silence(*self._read(histories))[1]

    def probability_of_no_purchase(self, histories: Histories, horizon: Duration) -> Floats:
        """P(no purchase in the horizon after as_of), shape (n,).

        1 - P(alive) (1 - P0), where P0 is the likelihood of an empty history as long as the horizon of a
        customer with r+x, alpha+T, s, beta+T.
        """
        x, t_x, t = self._read(histories)
        ahead = np.broadcast_to(self._horizon(histories, horizon), x.shape)
        alive = self._silence(x, t_x, t)[1]
        none_if_alive = np.empty(x.size)
        for rows in _chunks(x.size):
            r, alpha, beta = self.r + x[rows], self.alpha + t[rows], self.beta + t[rows]
            part = _Silence.of(r, alpha, self.s, beta, np.zeros(r.size), ahead[rows])
            none_if_alive[rows] = np.exp(r * np.log(alpha) + self.s * np.log(beta) + part.log_total)
        return np.clip(1 - alive * (1 - none_if_alive), 0, 1)

    def expected_purchases(self, histories: Histories, horizon: Duration) -> Floats:
        """Expected purchases in the horizon after as_of, shape (n,).

        P(alive) (r+x)(beta+T) / ((alpha+T)(s-1)) [1 - ((beta+T)/(beta+T+t))^(s-1)]; at s = 1 its limit.
        """
        x, _, t = self._read(histories)
        longer = np.log1p(self._horizon(histories, horizon) / (self.beta + t))
        alive_time = (self.beta + t) * longer * exprel(-(self.s - 1) * longer)
        return self.probability_alive(histories) * (self.r + x) / (self.alpha + t) * alive_time

    def _silence(self, x: Floats, t_x: Floats, t: Floats) -> tuple[Floats, Floats]:
        """The log of the likelihood's bracket, and the share of "alive" in it, both (n,)."""
        total, alive = np.empty(x.size), np.empty(x.size)
        for rows in _chunks(x.size):
            part = _Silence.of(self.r + x[rows], self.alpha, self.s, self.beta, t_x[rows], t[rows])
            total[rows], alive[rows] = part.log_total, part.alive
        return total, alive


@dataclass(frozen=True, eq=False)
class _Silence:
    """The two stories of the silence from t_x to T: still alive, or left at y, y at the nodes.

    Nodes are even in ln(m+y), m = min(alpha, beta), where the integrand is nearly an exponential; they
    end at T or where it has fallen by e^-FALL, so that few of them do for any number of purchases.
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
    left: Floats

    @classmethod
    def of(
        cls, k: Floats, alpha: float | Floats, s: float, beta: float | Floats, t_x: Floats, t: Floats
    ) -> "_Silence":
        alpha, beta = np.broadcast_to(alpha, t.shape), np.broadcast_to(beta, t.shape)
        m = np.minimum(alpha, beta)
        with np.errstate(over="ignore"):  # never falls so far
            fallen = np.minimum((alpha + t_x) * np.expm1(FALL / k), (beta + t_x) * np.expm1(FALL / s))
        width = np.log1p(np.minimum(t - t_x, fallen) / (m + t_x))
        stretch = width[:, None] * NODES  # ln((m+y)/(m+t_x))
        y = t_x[:, None] + (m + t_x)[:, None] * np.expm1(stretch)
        log_a, log_b = np.log(alpha[:, None] + y), np.log(beta[:, None] + y)
        with np.errstate(divide="ignore"):  # no silence, no width
            log_width = np.log(s * width * (m + t_x))
        log_left = (
            log_width[:, None] + stretch + LOG_SHARES
            - k[:, None] * log_a - (s + 1) * log_b
        )
        log_alive = -k * np.log(alpha + t) - s * np.log(beta + t)
        top = np.maximum(log_alive, log_left.max(axis=1))
        log_total = top + np.log(np.exp(log_alive - top) + np.exp(log_left - top[:, None]).sum(axis=1))
        alive, left = np.exp(log_alive - log_total), np.exp(log_left - log_total[:, None])
        return cls(k, alpha, s, beta, t, y, log_a, log_b, log_total, alive, left)

    def gradient(self, weights: Floats) -> Floats:
        """Of the weighted sum of `log_total` in r, alpha, s, beta: the integrand's own, averaged."""
        alive, left = weights * self.alive, weights[:, None] * self.left
        a_now, b_now = self.alpha + self.t, self.beta + self.t
        a_then, b_then = self.alpha[:, None] + self.y, self.beta[:, None] + self.y
        gone = left.sum()
        return np.array(
            [
                -alive @ np.log(a_now) - np.sum(left * self.log_a),
                -alive @ (self.k / a_now) - np.sum(left * self.k[:, None] / a_then),
                -alive @ np.log(b_now) - np.sum(left * self.log_b) + gone / self.s,
                -alive @ (self.s / b_now) - np.sum(left * (self.s + 1) / b_then),
            ]
        )


def _chunks(size: int) -> Iterator[slice]:
    return (slice(low, min(low + CHUNK, size)) for low in range(0, size, CHUNK))
