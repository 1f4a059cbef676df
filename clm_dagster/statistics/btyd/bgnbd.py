"""BG/NBD and MBG/NBD: random purchases, and a chance to drop out after each purchase.

While alive, a customer buys as a Poisson process of rate lambda ~ Gamma(r, alpha). After each purchase
they drop out with probability p ~ Beta(a, b). The first purchase is an occasion to drop out in MBG/NBD but
not in BG/NBD. This is the only difference: with n the number of occasions (x, or x + 1), both models have
the same formulas.

Belongs here: these two models. Does not: the optimisation (`fitting`).

Sources: Fader, Hardie and Lee 2005, "Counting Your Customers" the Easy Way, Marketing Science 24(2);
Batislam, Denizel and Filiztekin 2007, Int. J. of Research in Marketing 24(3), for MBG/NBD.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaln, digamma, gammaln

from clm_dagster.statistics.btyd.durations import Duration, Floats, duration, finite, refuse
from clm_dagster.statistics.btyd.histories import Histories
from clm_dagster.statistics.btyd.purchases import PurchaseModel
from clm_dagster.statistics.btyd.quadrature import purchases_while_alive


@dataclass(frozen=True)
class BGNBD(PurchaseModel):
    """BG/NBD with the paper's parameters; alpha is a time, in `unit`."""

    RATES: ClassVar[tuple[str, ...]] = ("alpha",)
    START: ClassVar[dict[str, float]] = {"r": 0.5, "alpha": 0.25, "a": 1.0, "b": 2.5}
    FIRST_IS_OCCASION: ClassVar[int] = 0
    """1 if a customer may drop out right after the first purchase."""

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def _objective(
        cls, x: Floats, t_x: Floats, t: Floats, weights: Floats
    ) -> Callable[[Floats], tuple[float, Floats]]:
        # Gamma functions depend only on x, which has few distinct values.
        counts, which = np.unique(x, return_inverse=True)
        weight_of = np.bincount(which, weights)
        total = weight_of.sum()
        n = counts + cls.FIRST_IS_OCCASION

        def objective(theta: Floats) -> tuple[float, Floats]:
            r, alpha, a, b = np.exp(theta)
            k = r + x
            log_alive, log_dead = np.log(alpha + t), np.log(alpha + t_x)
            odds = _log_odds_dead(a, b, n)[which] + k * (log_alive - log_dead)
            dead = _logistic(odds)
            by_count = gammaln(r + counts) - gammaln(r) + betaln(a, b + n) - betaln(a, b)
            value = weight_of @ by_count + total * r * np.log(alpha)
            value += weights @ (np.logaddexp(0, odds) - k * log_alive)
            dead_of = np.bincount(which, weights * dead)
            mean_log = log_alive + dead * (log_dead - log_alive)
            mean_rate = k * ((1 - dead) / (alpha + t) + dead / (alpha + t_x))
            denominator = np.maximum(b + n - 1, b)  # where n = 0, no customer has dropped out
            gradient = (
                weight_of @ (digamma(r + counts) - digamma(r)) + total * np.log(alpha) - weights @ mean_log,
                total * r / alpha - weights @ mean_rate,
                weight_of @ (digamma(a + b) - digamma(a + b + n)) + dead_of.sum() / a,
                weight_of @ (digamma(b + n) - digamma(b) + digamma(a + b) - digamma(a + b + n))
                - dead_of @ (1 / denominator),
            )
            return float(value), np.array(gradient) * np.exp(theta)

        return objective

    def log_likelihood(self, histories: Histories) -> Floats:
        """Return the log-likelihood of each history, shape (n,); purchase times are densities per `unit`.

        log L = ln G(r+x)/G(r) + r ln alpha + ln B(a, b+n)/B(a, b)
                + ln[(alpha+T)^-(r+x) + 1{n>0} a/(b+n-1) (alpha+t_x)^-(r+x)], n the occasions to drop out.
        """
        x, _, t = self._read(histories)
        likelihood: Floats = (
            gammaln(self.r + x)
            - gammaln(self.r)
            + self.r * np.log(self.alpha)
            + betaln(self.a, self.b + self._occasions(x))
            - betaln(self.a, self.b)
            - (self.r + x) * np.log(self.alpha + t)
            + np.logaddexp(0, self._odds(histories))
        )
        return likelihood

    def probability_alive(self, histories: Histories) -> Floats:
        """Return P(alive) at as_of, shape (n,): 1 / (1 + 1{n>0} a/(b+n-1) ((alpha+T)/(alpha+t_x))^(r+x)).

        1 - P(alive) is not a churn probability: in BG/NBD, P(alive) is 1 for every one-time buyer.
        """
        return _logistic(-self._odds(histories))

    def probability_of_no_purchase(self, histories: Histories, horizon: Duration) -> Floats:
        """Return P(no purchase in the horizon after as_of), shape (n,).

        1 - P(alive) (1 - ((alpha+T)/(alpha+T+t))^(r+x)).
        """
        x, _, t = self._read(histories)
        longer = self._horizon(histories, horizon) / (self.alpha + t)
        buys_if_alive = -np.expm1(-(self.r + x) * np.log1p(longer))
        return 1 - self.probability_alive(histories) * buys_if_alive

    def expected_purchases(self, histories: Histories, horizon: Duration) -> Floats:
        """Return the expected purchases in the horizon after as_of, shape (n,).

        P(alive) (a+b+n-1)/(a-1) [1 - ((alpha+T)/(alpha+T+t))^(r+x) 2F1(r+x, b+n; a+b+n-1; t/(alpha+T+t))],
        n the occasions to drop out; computed as the integral that this formula solves (`quadrature`).
        """
        x, _, t = self._read(histories)
        ahead = self._horizon(histories, horizon) / (self.alpha + t)
        while_alive = purchases_while_alive(self.r + x, self.a, self.b + self._occasions(x), ahead)
        return self.probability_alive(histories) * while_alive

    def probability_of_purchases(self, count: ArrayLike, horizon: Duration) -> Floats:
        """Return P(a new customer makes `count` repeat purchases in the horizon), with broadcast shape.

        It is negative binomial while the customer is alive, plus its tail if they drop out after the last purchase.
        """
        x = finite(count, "a count of purchases")
        refuse((x < 0) | (x != np.floor(x)), x, "a number of purchases is not a count", "give whole numbers")
        t = duration(horizon, "the horizon").into(self.unit)
        n = self._occasions(x)
        share = t / (self.alpha + t)
        log_count = gammaln(self.r + x) - gammaln(self.r) - gammaln(x + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            count_at_share = np.where(x > 0, x * np.log(share), 0.0)
        exactly = np.exp(log_count + count_at_share - self.r * np.log1p(t / self.alpha))
        at_least = np.where(x > 0, betainc(np.maximum(x, 1), self.r, share), 1.0)
        stays = np.exp(betaln(self.a, self.b + n) - betaln(self.a, self.b))
        leaves = stays * np.exp(_log_odds_dead(self.a, self.b, n))
        probability: Floats = stays * exactly + leaves * at_least
        return probability

    def _occasions(self, x: Floats) -> Floats:
        return x + self.FIRST_IS_OCCASION

    def _odds(self, histories: Histories) -> Floats:
        """Return the log-odds of having dropped out after the last purchase; -inf without an occasion."""
        x, t_x, t = self._read(histories)
        silence = (self.r + x) * np.log((self.alpha + t) / (self.alpha + t_x))
        return _log_odds_dead(self.a, self.b, self._occasions(x)) + silence


@dataclass(frozen=True)
class MBGNBD(BGNBD):
    """MBG/NBD: BG/NBD in which a customer may also drop out after the first purchase."""

    FIRST_IS_OCCASION: ClassVar[int] = 1


def _log_odds_dead(a: float, b: float, n: Floats) -> Floats:
    """Return ln(a/(b+n-1)), the log-odds of dropping out at the last of n occasions; -inf if n is 0."""
    return np.where(n > 0, np.log(a) - np.log(np.maximum(b + n - 1, b)), -np.inf)


def _logistic(log_odds: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -log_odds))
