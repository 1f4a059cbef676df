"""Local methods: models of one series, run over every series of a panel.

Belongs here: the days that a model is fitted on, its fitted parameters, its paths. Does not: the models
(`local_models`), methods that are one array operation for all series (`panel_methods`).

A model sees only the open days of a series; its season is the number of open weekdays. Closed weekdays are forecast
as zero. Shut days are imputed. Orders and parameters are fitted on values before the first origin; later origins run
the same model over the longer history. So a backtest needs one search, and a forecast with stored parameters none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from clm_dagster.domains.demand.panel_methods import zero_when_closed
from clm_dagster.domains.demand.series import Panel, impute_closures
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.local_models import (
    ArimaModel,
    ComponentsModel,
    FittedParameters,
    LocalModel,
    SmoothingModel,
    ThetaMethod,
)
from clm_dagster.statistics.forecasting.seasonal_trend import SeasonalTrendModel

Ints = NDArray[np.int64]

MIN_SEASONS = 3
"""Seasons of history that a seasonal model needs; a shorter series gets a model without a season."""
MIN_VALUES = 8
"""Values that any model needs; the forecast of a shorter series is its mean."""
MIN_DISCOUNT_DAYS = 5
"""Days of promotion that are needed to estimate their effect."""
YEAR = 365.25
CEILING = 2.0
"""Upper limit of a forecast, in multiples of the largest value so far: models of a short history can diverge."""
DISCOUNT, YEARLY = "discount", "year"


@dataclass(frozen=True)
class LocalMethod:
    """A model of one series, run over every series of a panel."""

    name: str
    model: LocalModel = field(repr=False)
    jobs: int = field(default=1, compare=False, repr=False)
    """Number of processes; the result does not depend on it."""

    def paths(self, panel: Panel, origins: Ints, horizon: int) -> Floats:
        """See panel_methods.Method."""
        return self.paths_with(self.fit(panel.until(int(origins[0]))), panel, origins, horizon)

    def paths_with(
        self, parameters: Sequence[FittedParameters | None], panel: Panel, origins: Ints, horizon: int
    ) -> Floats:
        """Return paths with parameters that `fit` returned earlier, one for each series.

        Where they are None, or were fitted while other weekdays were open, they are fitted again on the values before
        the first origin.
        """
        series = self._each_series(panel, int(origins[0]), horizon, parameters)
        found = Parallel(n_jobs=self.jobs)(delayed(_paths)(one, origins, horizon) for one in series)
        return zero_when_closed(np.stack(found), panel, origins)

    def fit(
        self, panel: Panel, earlier: Sequence[FittedParameters | None] | None = None
    ) -> list[FittedParameters]:
        """Return the parameters of each series, fitted on the whole panel.

        earlier: parameters of each series that were fitted on its beginning; what is costly to choose is kept.
        """
        before = [None] * len(panel) if earlier is None else earlier
        series = self._each_series(panel, panel.size, 0, before)
        return list(Parallel(n_jobs=self.jobs)(delayed(_fit)(one, panel.size) for one in series))

    def _each_series(
        self, panel: Panel, fitted_until: int, horizon: int, parameters: Sequence[FittedParameters | None]
    ) -> "list[_Series]":
        histories, begins = impute_closures(panel), panel.begins
        inputs = Regressors(panel, panel.size + horizon)
        is_open = panel.open_weekdays(fitted_until)
        weekdays = (np.arange(panel.size + horizon) + int(panel.dates[0].weekday())) % 7
        found = []
        for row, known in enumerate(parameters):
            weekly = is_open[row].tolist()
            usable = known if known is not None and known["open"] == weekly else None
            # A new fit, with no horizon, chooses its regressors.
            columns = usable["columns"] if usable and horizon else inputs.columns(row, fitted_until)
            use = is_open[row][weekdays] if panel.step == 1 else np.ones(weekdays.size, dtype=bool)
            use[: begins[row]] = False
            season = int(is_open[row].sum()) if panel.step == 1 else 1
            x = inputs.of(row, columns)
            found.append(_Series(self.model, histories[row], use, season, x, weekly, list(columns), usable))
        return found


@dataclass(frozen=True)
class _Series:
    """One series with its model.

    values: (periods,). use: (periods + horizon,) which periods the model sees. x: regressors (periods + horizon, k).
    """

    model: LocalModel
    values: Floats
    use: NDArray[np.bool_]
    season: int
    x: Floats
    open: list[bool]
    columns: list[str]
    parameters: FittedParameters | None

    def history(self, origin: int) -> Floats:
        """Return the values in use before a position."""
        return self.values[:origin][self.use[:origin]]

    def fit(self, origin: int) -> FittedParameters:
        """Fit on the values before a position; `fit` is None where they are too few or constant."""
        history = self.history(origin)
        season = self.season if history.size >= MIN_SEASONS * self.season else 1
        found: FittedParameters = {"open": self.open, "columns": self.columns, "season": season, "fit": None}
        if history.size < MIN_VALUES or np.ptp(history) == 0:
            return found
        x, earlier = self.x[:origin][self.use[:origin]], self.parameters
        # Other regressors or another season are another model.
        is_same = (
            earlier and earlier["fit"] and all(earlier[name] == found[name] for name in ("columns", "season"))
        )
        if earlier and is_same:
            found["fit"] = self.model.refit(history, season, x, earlier["fit"])
        else:
            found["fit"] = self.model.fit(history, season, x)
        return found

    def path(self, parameters: FittedParameters, origin: int, horizon: int) -> Floats:
        """Return the path of the periods in use after a position."""
        known, until = self.history(origin), origin + horizon
        x = self.x[:until][self.use[:until]]
        if parameters["fit"] is None:
            return np.full(len(x) - known.size, known.mean() if known.size else 0.0)
        return self.model.path(parameters["fit"], parameters["season"], known, x)


def _fit(one: _Series, origin: int) -> FittedParameters:
    return one.fit(origin)


def _paths(one: _Series, origins: Ints, horizon: int) -> Floats:
    """Return the paths (origins, horizon) of one series."""
    paths = np.zeros((origins.size, horizon))
    history = one.history(int(origins[0]))
    if history.size == 0:
        return paths
    parameters = one.parameters or one.fit(int(origins[0]))
    top = CEILING * float(history.max(initial=0))
    for j, origin in enumerate(origins):
        ahead = one.use[origin : origin + horizon]
        path = one.path(parameters, int(origin), horizon) if ahead.any() else np.zeros(0)
        top = max(top, CEILING * float(one.history(int(origin)).max(initial=0)))
        paths[j, ahead] = np.clip(path, 0, top)
    return paths


class Regressors:
    """The regressors of each series of a panel: the discount, and two pairs of yearly Fourier terms."""

    def __init__(self, panel: Panel, periods: int) -> None:
        """periods: of the panel and of the forecast."""
        angle = 2 * np.pi * panel.ahead(0, periods).day_of_year.to_numpy() / YEAR
        self._yearly = np.column_stack([wave(pair * angle) for pair in (1, 2) for wave in (np.sin, np.cos)])
        self._discounts = panel.discounts_until(periods)
        self._begins, self._step = panel.begins, panel.step

    def columns(self, row: int, fitted_until: int) -> tuple[str, ...]:
        """Return the regressors of a series that is fitted on the values before a position.

        The discount needs five days of promotion, the yearly terms need two years of history.
        """
        columns = []
        discounts = self._discounts
        if discounts is not None and (discounts[row, :fitted_until] > 0).sum() >= MIN_DISCOUNT_DAYS:
            columns.append(DISCOUNT)
        if (fitted_until - self._begins[row]) * self._step >= 2 * YEAR:
            columns.append(YEARLY)
        return tuple(columns)

    def of(self, row: int, columns: Sequence[str]) -> Floats:
        """Return the regressors of a series (periods, k)."""
        periods = len(self._yearly)
        found = [np.zeros((periods, 0))]
        if DISCOUNT in columns:
            discount = np.zeros(periods) if self._discounts is None else self._discounts[row]
            found.append(discount[:, None])
        if YEARLY in columns:
            found.append(self._yearly)
        return np.hstack(found)


def local_methods(jobs: int = 1, weekly: bool = False) -> list[LocalMethod]:
    """Return every local method. weekly: whether the panel is one of weeks, which can have a yearly season."""
    models: dict[str, LocalModel] = {
        "arima": ArimaModel(),
        "exponential_smoothing": SmoothingModel(),
        "theta": ThetaMethod(),
        "unobserved_components": ComponentsModel(),
    }
    if weekly:
        models["seasonal_trend"] = SeasonalTrendModel()
    return [LocalMethod(name, model, jobs) for name, model in models.items()]
