"""The demand model: backtest, choice and forecasts with prediction intervals for every series, as of an instant.

    result = forecast(series, as_of=date(2011, 11, 11), settings=DemandSettings())
    result.forecasts    # period, level, key, measure, date, mean, q025 .. q975, method, outcome
    result.backtest     # period, level, key, measure, method, mase, rmsse, smape, wape, bias
    result.accuracy     # the same with coverage and interval scores, for the chosen forecasts

Belongs here: the sequence of steps for days and weeks. Does not: methods (`panel_methods`, `local_methods`), measures
and choice (`backtest`), classes of series (`series_class`), intervals and reconciliation (`predict`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.demand.backtest import (
    Backtest,
    Choice,
    RunMethod,
    coverage,
    interval_score,
    measures,
    rolling_origins,
    run_directly,
)
from clm_dagster.domains.demand.local_methods import local_methods
from clm_dagster.domains.demand.lstm import NAME as LSTM
from clm_dagster.domains.demand.lstm import GlobalLSTM
from clm_dagster.domains.demand.names import BASELINES, DAY, MEASURES, WEEK
from clm_dagster.domains.demand.panel_methods import (
    CalendarRegression,
    EightWeekMean,
    GlobalBoosting,
    IntermittentDemand,
    Method,
    OnOneWeekday,
    SeasonalNaive,
    SummedDays,
)
from clm_dagster.domains.demand.policy import ForecastPolicy, apply_fallbacks
from clm_dagster.domains.demand.predict import (
    FitMethod,
    ForecastResult,
    fit_directly,
    predict_panel,
    value_variances,
    with_fitted_parameters,
)
from clm_dagster.domains.demand.race import race
from clm_dagster.domains.demand.series import (
    DAYS_PER_WEEK,
    KEYS,
    OPEN_WINDOW_DAYS,
    Panel,
    daily_panel,
    only_weekday,
    weekly_panel,
    with_promotions,
)
from clm_dagster.domains.demand.series_class import EVALUATED, classify_series
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.intervals import conformal_quantiles

ONE_WEEKDAY = ("seasonal_trend", "exponential_smoothing")
"""The weekly methods of one series that also forecast the days of a shop that sells on one weekday."""


@dataclass(frozen=True)
class DemandForecast:
    """The result of `forecast`."""

    forecasts: pd.DataFrame
    """One row for each period, series and date."""
    backtest: pd.DataFrame
    """One row for each period, series and method, including `chosen`."""
    accuracy: pd.DataFrame
    """Coverage and interval scores of the chosen forecasts, one row for each period and series."""
    combined: dict[str, dict[str, tuple[str, ...]]]
    """The methods that are combined, by period and class of series."""
    days: Panel
    """The daily panel that the models were fitted on."""


def forecast(
    series: pd.DataFrame,
    as_of: date,
    settings: DemandSettings | None = None,
    promotions: pd.DataFrame | None = None,
    run: RunMethod = run_directly,
) -> DemandForecast:
    """Forecast every series of core.demand_series (level, key, measure, day, value) from as_of on.

    Values on or after as_of are ignored. Units and revenue of each hierarchy level sum to the shop's, to the penny.
    The result does not depend on the order of rows. promotions: level, key, day, discount, planned days included.
    run: may store results, so that an interrupted run resumes (`checkpoints`). Raise ValueError on an invalid frame
    (`series.daily_panel`).
    """
    settings = settings or DemandSettings()
    panels = panels_of(series, as_of, settings, promotions)
    evaluations = evaluate_candidates(panels, settings, run)
    policies = fit_policies(evaluations, settings)
    return DemandForecast(
        forecasts=forecast_rows(predict_panels(policies, panels, settings, run)),
        backtest=by_period({period: evaluation.table for period, evaluation in evaluations.items()}),
        accuracy=by_period({period: evaluation.accuracy for period, evaluation in evaluations.items()}),
        combined={period: evaluation.choice.combined for period, evaluation in evaluations.items()},
        days=panels[DAY],
    )


def panels_of(
    series: pd.DataFrame, as_of: date, settings: DemandSettings, promotions: pd.DataFrame | None = None
) -> dict[str, Panel]:
    """Return the daily panel up to as_of, and the weekly one if there is a full week. Raise as `series.daily_panel`."""
    days = daily_panel(series, as_of)
    if promotions is not None:
        days = with_promotions(days, promotions, settings.horizon_weeks * DAYS_PER_WEEK)
    days = days.latest(settings.memory_days)
    weeks = weekly_panel(days)
    return {DAY: days, WEEK: weeks} if weeks.size else {DAY: days}


def evaluate_candidates(
    panels: Mapping[str, Panel], settings: DemandSettings, run: RunMethod = run_directly
) -> dict[str, "PeriodEvaluation"]:
    """Evaluate the candidates of each period."""
    horizons = {DAY: settings.horizon_days, WEEK: settings.backtest_weeks}
    return {
        period: evaluate_period(
            panel,
            candidates_of(panel, settings.jobs, settings.lstm),
            horizons[period],
            settings,
            run,
        )
        for period, panel in panels.items()
    }


def fit_policies(
    evaluations: Mapping[str, "PeriodEvaluation"], settings: DemandSettings, fit: FitMethod = fit_directly
) -> dict[str, ForecastPolicy]:
    """Return the policy of each evaluation with the fitted parameters that later forecasts need."""
    horizons = settings.horizons
    return {
        period: with_fitted_parameters(
            evaluation.policy,
            evaluation.backtest,
            candidates_of(evaluation.backtest.panel, settings.jobs),
            horizons[period],
            fit,
        )
        for period, evaluation in evaluations.items()
    }


def predict_panels(
    policies: Mapping[str, ForecastPolicy],
    panels: Mapping[str, Panel],
    settings: DemandSettings,
    run: RunMethod = run_directly,
) -> dict[str, ForecastResult]:
    """Forecast each period from the end of its panel by its policy; skip periods without a policy or panel."""
    horizons = settings.horizons
    return {
        period: predict_panel(
            policies[period],
            panel,
            candidates_of(panel, settings.jobs, LSTM in policies[period].methods),
            horizons[period],
            run,
        )
        for period, panel in panels.items()
        if period in policies
    }


def forecast_rows(results: Mapping[str, ForecastResult]) -> pd.DataFrame:
    """Return the forecasts of all periods: period, level, key, measure, date, mean, quantiles, method, outcome."""
    return by_period({period: result.forecasts for period, result in results.items()})


def candidates_of(panel: Panel, jobs: int, lstm: bool = False) -> list[Method]:
    """Return every candidate for a panel of days or weeks."""
    return candidates(jobs, panel.step == DAYS_PER_WEEK, lstm, only_weekday(panel) is not None)


def candidates(
    jobs: int = 1, weekly: bool = False, lstm: bool = False, one_weekday: bool = False
) -> list[Method]:
    """Return every candidate for days or for weeks.

    For weeks, the two calendar methods sum their daily forecasts. one_weekday: whether the shop sells on one weekday
    only (`series.only_weekday`). Its days say no more than its weeks: no daily model is fitted, the calendar methods
    are those of weeks, and days have the forecasts of the fast weekly methods.
    """
    naive: list[Method] = [SeasonalNaive(), EightWeekMean(), IntermittentDemand()]
    calendar: list[Method] = [CalendarRegression(), GlobalBoosting()]
    local = local_methods(jobs, weekly)
    networks: list[Method] = [GlobalLSTM()] if lstm else []
    if one_weekday and not weekly:
        fast: list[Method] = [m for m in local_methods(jobs, weekly=True) if m.name in ONE_WEEKDAY]
        weekly_methods: list[Method] = [CalendarRegression(), *fast]
        return [*naive, *(OnOneWeekday(method) for method in weekly_methods), *networks]
    if weekly and not one_weekday:
        calendar = [SummedDays(method) for method in calendar]
    return [*naive, *calendar, *local, *networks]


@dataclass(frozen=True)
class PeriodEvaluation:
    """The evaluation of one period: the backtest of every candidate, and the choice.

    spacing: periods between origins. dropped: the candidates that lost the race (`race`).
    """

    backtest: Backtest
    choice: Choice
    series_class: NDArray[np.str_]
    spacing: int
    dropped: tuple[str, ...] = ()

    @property
    def policy(self) -> ForecastPolicy:
        """The policy that forecasts use, now and at later instants."""
        backtest = self.backtest
        origins = backtest.origins
        return ForecastPolicy(
            keys=backtest.panel.keys,
            methods=backtest.methods,
            weights=self.choice.weights,
            names=self.choice.names,
            series_class=self.series_class,
            combined=self.choice.combined,
            first_origin=backtest.panel.dates[origins[0]] if origins.size else None,
            paths=backtest.chosen(self.choice),
            actual=backtest.actual,
            variances=self._variances(),
        )

    def _variances(self) -> Floats:
        """Return mean squared errors of the backtest (series,); for a young series, the variance of its values."""
        own = value_variances(self.backtest.panel)
        if not self.backtest.origins.size:
            return own
        squared = np.square(self.backtest.errors(self.backtest.chosen(self.choice))).mean(axis=(1, 2))
        return np.where(np.isfinite(squared) & (squared > 0), squared, own)

    @property
    def table(self) -> pd.DataFrame:
        """Measures, one row for each series and method, plus one for `chosen`."""
        return self.backtest.table(self.choice)

    @property
    def held_out(self) -> pd.DataFrame:
        """Measures of the choice and both baselines on held-out origins, one row for each evaluated series and method.

        The last two origins are held out. The choice uses the origins whose horizon had ended by the first of them.
        Columns: level, key, measure, method, mase, rmsse, smape, wape, bias. Empty where there are too few origins.
        """
        backtest, origins = self.backtest, self.backtest.origins
        known = np.flatnonzero(origins + backtest.horizon <= origins[-2]) if origins.size > 2 else origins[:0]
        if not known.size:
            return pd.DataFrame(columns=[*KEYS, "method", *MEASURES])
        early = replace(backtest, origins=origins[known], paths=backtest.paths[:, :, known])
        choice = _with_fallbacks(
            early.choose(self.series_class, self.spacing), self.series_class, backtest.methods
        )
        late = np.einsum("sm,msoh->soh", choice.weights, backtest.paths[:, :, -2:])
        held_out_paths = {"chosen": late} | {
            name: backtest.paths[backtest.methods.index(name)][:, -2:] for name in BASELINES
        }
        evaluated = np.isin(self.series_class, EVALUATED)
        parts = [
            backtest.panel.keys.assign(
                method=name, **measures(paths, backtest.actual[:, -2:], *backtest.scales)
            )[evaluated]
            for name, paths in held_out_paths.items()
        ]
        return pd.concat(parts, ignore_index=True)

    @property
    def accuracy(self) -> pd.DataFrame:
        """Coverage and interval scores of the chosen forecasts, one row for each series.

        The intervals at an origin use the residuals of earlier origins whose horizon had ended by then, as those of
        the forecast do. So this is out-of-sample coverage. Origins with too few residuals are left out.
        """
        backtest, panel = self.backtest, self.backtest.panel
        paths, actual = backtest.chosen(self.choice), backtest.actual
        bands = [_bands_at(self, paths, actual, at) for at in range(backtest.origins.size)]
        evaluated = [at for at, band in enumerate(bands) if band is not None]
        frame = panel.keys.assign(method=self.choice.names, outcome=self.series_class, origins=len(evaluated))
        for confidence, low, high in ((80, 1, 3), (95, 0, 4)):
            lows, highs = (
                np.stack([bands[at][:, :, column] for at in evaluated], axis=1)  # type: ignore[index]
                if evaluated
                else np.full((len(panel), 1, 1), np.nan)
                for column in (low, high)
            )
            known = actual[:, evaluated] if evaluated else lows
            frame[f"coverage_{confidence}"] = coverage(lows, highs, known)
            frame[f"interval_score_{confidence}"] = (
                interval_score(lows, highs, known, confidence / 100) / backtest.scales[0]
            )
        return frame


def _bands_at(evaluation: PeriodEvaluation, paths: Floats, actual: Floats, at: int) -> Floats | None:
    """Return quantiles at origin `at` from origins whose horizon had ended by then; None where there are too few."""
    backtest = evaluation.backtest
    ended = np.flatnonzero(backtest.origins + backtest.horizon <= backtest.origins[at])
    if ended.size < 2:
        return None
    pools = 1 if backtest.panel.step == 1 else 2
    return conformal_quantiles(
        paths[:, at], paths[:, ended], actual[:, ended], evaluation.series_class, pools
    )


def evaluate_period(
    panel: Panel,
    methods: Sequence[Method],
    horizon: int,
    settings: DemandSettings,
    run: RunMethod = run_directly,
) -> PeriodEvaluation:
    """Backtest the methods over `horizon` steps from each origin, and choose for each series."""
    spacing = max(1, settings.spacing_days // panel.step)
    origins = rolling_origins(panel.size, horizon, spacing, settings.origins, OPEN_WINDOW_DAYS // panel.step)
    series_class = classify_series(panel, int(origins[0]) if origins.size else panel.size)
    backtest, dropped = race(panel, methods, origins, horizon, series_class, run)
    choice = _with_fallbacks(backtest.choose(series_class, spacing), series_class, backtest.methods)
    return PeriodEvaluation(backtest, choice, series_class, spacing, dropped)


def _with_fallbacks(choice: Choice, series_class: NDArray[np.str_], methods: Sequence[str]) -> Choice:
    """Return the choice with the fixed method of their class for series that are not evaluated."""
    weights, names = choice.weights.copy(), np.array(choice.names, dtype=object)
    apply_fallbacks(weights, names, series_class, methods)
    combined = {name: kept for name, kept in choice.combined.items() if name in EVALUATED}
    return replace(choice, weights=weights, names=tuple(names), combined=combined)


def by_period(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the daily and weekly frames as one, with the period as its first column."""
    found = [frame.assign(period=period) for period, frame in frames.items()]
    whole = pd.concat(found, ignore_index=True)
    return whole[["period", *(name for name in whole.columns if name != "period")]]
