"""Local methods: models of one series, run over every series of a panel.

Belongs here: the days that a model is fitted on, its fitted parameters, its paths. Does not: the models
(`local_models`), methods that are one array operation for all series (`panel_methods`).

A model sees only the open days of a series; its season is the number of open weekdays. Closed weekdays are forecast
as zero. Shut days are imputed. Orders and parameters are fitted on values before the first origin; later origins run
the same model over the longer history. So a backtest needs one search, and a forecast with stored parameters none.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from statsmodels.tools.sm_exceptions import ConvergenceWarning

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
        return self.paths_with([None] * len(panel), panel, origins, horizon)

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

    def fit(self, panel: Panel) -> list[FittedParameters]:
        """Return the parameters of each series, fitted on the whole panel, for later forecasts."""
        series = self._each_series(panel, panel.size, 0, [None] * len(panel))
        return list(Parallel(n_jobs=self.jobs)(delayed(_fit)(one, panel.size) for one in series))

    def _each_series(
        self, panel: Panel, fitted_until: int, horizon: int, parameters: Sequence[FittedParameters | None]
    ) -> "list[_Series]":
        histories, begins = impute_closures(panel), panel.begins
        is_open = panel.open_weekdays(fitted_until)
        weekdays = (np.arange(panel.size + horizon) + int(panel.dates[0].weekday())) % 7
        found = []
        for row, known in enumerate(parameters):
            weekly = is_open[row].tolist()
            usable = known if known is not None and known["open"] == weekly else None
            columns = usable["columns"] if usable else columns_of(panel, row, fitted_until)
            use = is_open[row][weekdays] if panel.step == 1 else np.ones(weekdays.size, dtype=bool)
            use[: begins[row]] = False
            season = int(is_open[row].sum()) if panel.step == 1 else 1
            x = regressors(panel, row, panel.size + horizon, columns)
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
        with warnings.catch_warnings():
            # A model that does not converge is evaluated by the backtest like any other.
            warnings.simplefilter("ignore", ConvergenceWarning)
            found["fit"] = self.model.fit(history, season, self.x[:origin][self.use[:origin]])
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


def columns_of(panel: Panel, row: int, fitted_until: int) -> tuple[str, ...]:
    """Return the regressors of a series that is fitted on the values before a position.

    The discount needs five days of promotion, the yearly terms need two years of history.
    """
    columns = []
    discounts = panel.discounts_until(fitted_until)
    if discounts is not None and (discounts[row] > 0).sum() >= MIN_DISCOUNT_DAYS:
        columns.append(DISCOUNT)
    if (fitted_until - panel.begins[row]) * panel.step >= 2 * YEAR:
        columns.append(YEARLY)
    return tuple(columns)


def regressors(panel: Panel, row: int, periods: int, columns: Sequence[str]) -> Floats:
    """Return the regressors of a series (periods, k): the discount, and two pairs of yearly Fourier terms."""
    found = []
    if DISCOUNT in columns:
        discounts = panel.discounts_until(periods)
        found.append(np.zeros(periods) if discounts is None else discounts[row])
    if YEARLY in columns:
        angle = 2 * np.pi * panel.ahead(0, periods).day_of_year.to_numpy() / YEAR
        found += [wave(pair * angle) for pair in (1, 2) for wave in (np.sin, np.cos)]
    return np.column_stack(found) if found else np.zeros((periods, 0))


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
