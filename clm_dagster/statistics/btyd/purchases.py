"""What every model of purchases answers, and how it is fitted.

Belongs here: what BG/NBD, MBG/NBD and Pareto/NBD share. Does not: a likelihood.

There is no churn probability `1 - P(alive)` here, on purpose. BG/NBD lets a customer leave only after a
repeat purchase, so all one-time buyers have P(alive) = 1, and the "churn" of those least likely to return
would be 0: on CDNOW that ranks worse than chance (AUC .316). What a shop means by churn is
`probability_of_no_purchase`: nobody can see who is alive, but everybody can count who bought (AUC .757).
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
    """A model of when customers buy. Its parameters are in `unit`; durations in any unit are converted.

    Raises:
        HistoryError: a parameter is not above 0.
    """

    RATES: ClassVar[tuple[str, ...]]
    """The parameters that are a length of time."""
    START: ClassVar[dict[str, float]]
    """Where the search starts, with the mean time observed as the unit of time."""

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
        """The same model with its parameters told in another unit; no answer changes."""
        scale = self.unit.value / unit.value
        return replace(self, unit=unit, **{name: getattr(self, name) * scale for name in self.RATES})

    @classmethod
    def fit(cls, histories: Histories) -> Fit[Self]:
        """Fit by maximum likelihood, without a penalty, in the unit of the histories.

        Every customer counts, one-time buyers too: without them, or with distinct histories but no
        weights, the forecast on CDNOW is 55 to 83% too high.

        Raises:
            FitError: there is one customer only, or nobody bought twice.
        """
        grouped = histories.grouped
        _refuse_too_little(grouped)
        scale = float(np.average(grouped.observed.amount, weights=grouped.weights))
        scaled = _scaled(grouped, scale)
        names = [field.name for field in fields(cls) if field.name != "unit"]
        total_log_likelihood = cls._objective(*scaled)
        start = np.log([cls.START[name] for name in names])
        curvature: Floats | None = None
        if len(grouped) > 2 * SAMPLE:  # find the neighbourhood on some of the sorted histories
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
        # A density per stretch of time: in a unit `scale` times as short, each purchase costs log(scale).
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
        """The weighted sum of log-likelihoods, and its gradient, as a function of log-parameters."""

    @abstractmethod
    def log_likelihood(self, histories: Histories) -> Floats:
        """Log-likelihood of each history, shape (n,), in the model's unit; weights are not applied."""

    @abstractmethod
    def probability_alive(self, histories: Histories) -> Floats:
        """P(alive) at as_of, shape (n,). Its complement is no churn probability (see the module)."""

    @abstractmethod
    def expected_purchases(self, histories: Histories, horizon: Duration) -> Floats:
        """Expected purchases in (as_of, as_of + horizon], given each history.

        The horizon is one duration or one per customer; the answer has shape (n,).
        """

    @abstractmethod
    def probability_of_no_purchase(self, histories: Histories, horizon: Duration) -> Floats:
        """P(no purchase in (as_of, as_of + horizon]), given each history, shape (n,): churn, if any is.

        The horizon is one duration or one per customer.
        """

    def expected_purchases_of_new(self, horizon: Duration) -> Floats:
        """Expected repeat purchases of a customer in the `horizon` after his first; shape of `horizon`.

        A new customer has the empty history (0, 0, 0), so this is `expected_purchases` of that.
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
            raise HistoryError(f"a horizon of shape {amount.shape} for {len(histories)} customers: give one")
        return amount


def _scaled(grouped: Histories, scale: float) -> tuple[Floats, Floats, Floats, Floats]:
    assert grouped.weights is not None
    return grouped.repeats, grouped.last.amount / scale, grouped.observed.amount / scale, grouped.weights


def _refuse_too_little(histories: Histories) -> None:
    if histories.customers <= 1:
        raise FitError("one customer says nothing of how customers differ; fit on more customers")
    if not np.any(histories.repeats):
        raise FitError(
            f"none of {histories.customers:g} customers bought twice, so there is no rate to estimate;"
            " observe them longer, or use a model fitted on another period"
        )
