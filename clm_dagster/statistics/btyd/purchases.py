"""The interface of all purchase models, and their fitting.

Belongs here: what BG/NBD, MBG/NBD and Pareto/NBD share. Does not: a likelihood.

There is deliberately no churn probability `1 - P(alive)`. In BG/NBD a customer can drop out only after a repeat
purchase, so every one-time buyer has P(alive) = 1 and would have a churn probability of 0, although they are the
least likely to return. On CDNOW this ranks worse than chance (AUC .316). Churn in the sense of a shop is
`probability_of_no_purchase` (AUC .757): whether a customer is alive cannot be observed, but purchases can.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import ClassVar, Self

import numpy as np

from clm_dagster.statistics.btyd.durations import Duration, Floats, Unit, duration
from clm_dagster.statistics.btyd.errors import FitError, HistoryError
from clm_dagster.statistics.btyd.fitting import Fit, maximise
from clm_dagster.statistics.btyd.histories import Histories

SAMPLE = 20_000


@dataclass(frozen=True)
class PurchaseModel(ABC):
    """A model of when customers buy. Its parameters are in `unit`; durations in other units are converted.

    Raises:
        HistoryError: a parameter is not above 0.
    """

    RATES: ClassVar[tuple[str, ...]]
    """The names of the parameters that are lengths of time."""
    START: ClassVar[dict[str, float]]
    """Start of the search, with the mean observed time as the unit of time."""

    unit: Unit

    def __post_init__(self) -> None:
        if not isinstance(self.unit, Unit):
            raise HistoryError(f"a model's unit is Unit.DAY or Unit.WEEK, not {self.unit!r}")
        for name, value in self.parameters.items():
            if not (np.isfinite(value) and value > 0):
                raise HistoryError(f"{type(self).__name__}: {name} is a number above 0, not {value!r}")

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters by name, in `unit`."""
        return {name: value for name, value in asdict(self).items() if name != "unit"}

    def to(self, unit: Unit) -> Self:
        """Return the same model with its parameters in another unit; predictions do not change."""
        scale = self.unit.value / unit.value
        return replace(self, unit=unit, **{name: getattr(self, name) * scale for name in self.RATES})

    @classmethod
    def fit(cls, histories: Histories) -> Fit[Self]:
        """Fit by maximum likelihood, without a penalty, in the unit of the histories.

        Include all customers, also one-time buyers. Without them, or with distinct histories but without weights,
        the forecast on CDNOW is 55 to 83% too high.

        Raises:
            FitError: there is only one customer, no customer bought twice, or the fit does not converge.
        """
        grouped = histories.grouped
        _require_repeat_buyers(grouped)
        scale = float(np.average(grouped.observed.amount, weights=grouped.weights))
        scaled = _scaled(grouped, scale)
        names = [field.name for field in fields(cls) if field.name != "unit"]
        total_log_likelihood = cls._objective(*scaled)
        start = np.log([cls.START[name] for name in names])
        curvature: Floats | None = None
        if len(grouped) > 2 * SAMPLE:  # start near the maximum of a sample of the sorted histories
            some = tuple(column[:: len(grouped) // SAMPLE] for column in scaled)
            if np.any(some[0]):
                weight = float(some[3].sum())
                start, near, bound = maximise(cls._objective(*some), start, weight)
                if not bound and np.isfinite(near).all():
                    curvature = np.asarray(np.linalg.inv(near * weight), dtype=np.float64)
        theta, covariance, bound = maximise(total_log_likelihood, start, grouped.customers, curvature)
        values = {
            name: float(value * (scale if name in cls.RATES else 1))
            for name, value in zip(names, np.exp(theta), strict=True)
        }
        model = cls(unit=grouped.unit, **values)
        # Densities are per unit of time: converting back from the scaled unit costs log(scale) per purchase.
        jacobian = np.log(scale) * np.dot(scaled[3], scaled[0])
        return Fit(
            model=model,
            estimates=values,
            log_likelihood=float(total_log_likelihood(theta)[0] - jacobian),
            customers=grouped.customers,
            log_covariance=covariance,
            at_bound=tuple(names[i] for i in bound),
        )

    @classmethod
    @abstractmethod
    def _objective(
        cls, x: Floats, t_x: Floats, t: Floats, weights: Floats
    ) -> Callable[[Floats], tuple[float, Floats]]:
        """Return the function from log-parameters to the weighted sum of log-likelihoods and its gradient."""

    @abstractmethod
    def log_likelihood(self, histories: Histories) -> Floats:
        """Return the log-likelihood of each history, shape (n,), in the model's unit; weights are not applied."""

    @abstractmethod
    def probability_alive(self, histories: Histories) -> Floats:
        """Return P(alive) at as_of, shape (n,). 1 - P(alive) is not a churn probability (see the module)."""

    @abstractmethod
    def expected_purchases(self, histories: Histories, horizon: Duration) -> Floats:
        """Return the expected purchases in (as_of, as_of + horizon] given each history, shape (n,).

        The horizon is one duration, or one per customer.
        """

    @abstractmethod
    def probability_of_no_purchase(self, histories: Histories, horizon: Duration) -> Floats:
        """Return P(no purchase in (as_of, as_of + horizon]) given each history, shape (n,): the churn probability.

        The horizon is one duration, or one per customer.
        """

    def expected_purchases_of_new(self, horizon: Duration) -> Floats:
        """Return a new customer's expected repeat purchases in the `horizon` after the first one.

        The result has the shape of `horizon`. It is `expected_purchases` of the empty history (0, 0, 0).
        """
        amount = duration(horizon, "the horizon").amount
        none = Duration(np.zeros(amount.size), horizon.unit)
        histories = Histories(np.zeros(amount.size), none, none)
        flat = Duration(amount.reshape(-1), horizon.unit)
        return self.expected_purchases(histories, flat).reshape(amount.shape)

    def _read(self, histories: Histories) -> tuple[Floats, Floats, Floats]:
        return histories.repeats, histories.last.into(self.unit), histories.observed.into(self.unit)

    def _horizon(self, histories: Histories, horizon: Duration) -> Floats:
        amount = duration(horizon, "the horizon").into(self.unit)
        if amount.shape not in ((), (1,), (len(histories),)):
            raise HistoryError(
                f"a horizon of shape {amount.shape} for {len(histories)} customers: give one, or one per customer"
            )
        return amount


def _scaled(grouped: Histories, scale: float) -> tuple[Floats, Floats, Floats, Floats]:
    assert grouped.weights is not None
    return grouped.repeats, grouped.last.amount / scale, grouped.observed.amount / scale, grouped.weights


def _require_repeat_buyers(histories: Histories) -> None:
    if histories.customers <= 1:
        raise FitError(
            "differences between customers cannot be estimated from one customer; fit on more customers"
        )
    if not np.any(histories.repeats):
        raise FitError(
            f"none of {histories.customers:g} customers bought twice, so there is no rate to estimate;"
            " observe them longer, or use a model fitted on another period"
        )
