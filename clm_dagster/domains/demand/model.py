"""Demand of every series as of an instant: forecasts with bands, backtest, accuracy, components.

    result = forecast(series, as_of=date(2011, 11, 11), settings=DemandSettings())
    result.forecasts    # period, level, key, measure, date, mean, q025 .. q975, method, outcome
    result.backtest     # period, level, key, measure, method, mase, rmsse, smape, wape, bias
    result.accuracy     # the same with coverage and interval scores, for the chosen forecasts

Belongs here: the order of the work for days and weeks. Does not: methods (`panel_methods`, `local_methods`), judging
(`backtest`), odd series (`series_class`), bands and adding up (`predict`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.demand.backtest import (
    BASELINES,
    MEASURES,
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
from clm_dagster.domains.demand.panel_methods import (
    CalendarRegression,
    EightWeekMean,
    GlobalBoosting,
    IntermittentDemand,
    Method,
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
from clm_dagster.domains.demand.series import (
    DAYS_PER_WEEK,
    KEYS,
    OPEN_WINDOW_DAYS,
    Panel,
    daily_panel,
    weekly_panel,
    with_promotions,
)
from clm_dagster.domains.demand.series_class import EVALUATED, classify_series
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.intervals import conformal_quantiles

DAY, WEEK = "day", "week"


@dataclass(frozen=True)
class DemandSettings:
    """How far ahead is forecast, and how candidates are evaluated."""

    horizon_days: int = 28
    horizon_weeks: int = 13
    backtest_weeks: int = 8
    """Weeks ahead that are judged; the bands of later weeks are those of the farthest judged."""
    origins: int = 8
    spacing_days: int = 14
    """Days between origins; the last is one horizon before as_of."""
    memory_days: int = 4 * 364
    """Older days are not fitted on."""
    lstm: bool = False
    """Whether a recurrent network is a candidate; it needs torch."""
    jobs: int = 1
    """Processes for models that are fitted one series at a time."""


@dataclass(frozen=True)
class DemandForecast:
    """What a forecast gives back."""

    forecasts: pd.DataFrame
    """One row for each period, series and date."""
    backtest: pd.DataFrame
    """One row for each period, series and method, `chosen` among them."""
    accuracy: pd.DataFrame
    """One row for each period and series: how the chosen forecasts and their bands did."""
    combined: dict[str, dict[str, tuple[str, ...]]]
    """Which methods each period combines for each class of series."""
    days: Panel
    """The daily panel that was fitted on."""


def forecast(
    series: pd.DataFrame,
    as_of: date,
    settings: DemandSettings | None = None,
    promotions: pd.DataFrame | None = None,
    run: RunMethod = run_directly,
) -> DemandForecast:
    """Forecast every series of core.demand_series (level, key, measure, day, value) from as_of on.

    Values on or after as_of are not looked at. Units and revenue of the levels add up to the shop's, to the
    penny. `promotions` are level, key, day, discount, planned days included. The answer does not depend on
    the order of rows. `run` may keep what methods answer, so that a killed run goes on (`checkpoints`). Raise
    ValueError on a broken frame (`series.daily_panel`).
    """
    settings = settings or DemandSettings()
    panels = panels_of(series, as_of, settings, promotions)
    evaluations = evaluate_candidates(panels, settings, run)
    policies = {period: evaluation.policy for period, evaluation in evaluations.items()}
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
    """Days, and weeks where there is a whole one, up to as_of. Raises ValueError as `series.daily_panel` does."""
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
    judged = {DAY: settings.horizon_days, WEEK: settings.backtest_weeks}
    return {
        period: evaluate_period(
            panel, candidates(settings.jobs, period == WEEK, settings.lstm), judged[period], settings, run
        )
        for period, panel in panels.items()
    }


def fit_policies(
    evaluations: Mapping[str, "PeriodEvaluation"], settings: DemandSettings, fit: FitMethod = fit_directly
) -> dict[str, ForecastPolicy]:
    """Return the policy of each evaluation with the parameters of its models: what later forecasts need."""
    return {
        period: with_fitted_parameters(
            evaluation.policy, evaluation.backtest.panel, candidates(settings.jobs, period == WEEK), fit
        )
        for period, evaluation in evaluations.items()
    }


def predict_panels(
    policies: Mapping[str, ForecastPolicy],
    panels: Mapping[str, Panel],
    settings: DemandSettings,
    run: RunMethod = run_directly,
) -> dict[str, ForecastResult]:
    """Forecast each period by its policy from the panels' end on; periods without policy or panel are left out."""
    horizons = {DAY: settings.horizon_days, WEEK: settings.horizon_weeks}
    return {
        period: predict_panel(
            policies[period],
            panel,
            candidates(settings.jobs, period == WEEK, LSTM in policies[period].methods),
            horizons[period],
            run,
        )
        for period, panel in panels.items()
        if period in policies
    }


def forecast_rows(results: Mapping[str, ForecastResult]) -> pd.DataFrame:
    """Return forecasts of all periods: period, level, key, measure, date, mean, quantiles, method, outcome."""
    return by_period({period: result.forecasts for period, result in results.items()})


def candidates(jobs: int = 1, weekly: bool = False, lstm: bool = False) -> list[Method]:
    """Return every candidate for days, or for weeks, where the two that know a calendar sum their days."""
    calendar: list[Method] = [CalendarRegression(), GlobalBoosting()]
    if weekly:
        calendar = [SummedDays(method) for method in calendar]
    naive: list[Method] = [SeasonalNaive(), EightWeekMean(), IntermittentDemand()]
    networks: list[Method] = [GlobalLSTM()] if lstm else []
    return [*naive, *calendar, *local_methods(jobs), *networks]


@dataclass(frozen=True)
class PeriodEvaluation:
    """The evaluation of one period: how every candidate did, and which were chosen.

    spacing: periods between origins.
    """

    backtest: Backtest
    choice: Choice
    series_class: NDArray[np.str_]
    spacing: int

    @property
    def policy(self) -> ForecastPolicy:
        """What is kept of it to forecast by, now and at later instants."""
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
        """(series,) mean squared errors of the backtest; of a young series, the variance of its own values."""
        own = value_variances(self.backtest.panel)
        if not self.backtest.origins.size:
            return own
        squared = np.square(self.backtest.errors(self.backtest.chosen(self.choice))).mean(axis=(1, 2))
        return np.where(np.isfinite(squared) & (squared > 0), squared, own)

    @property
    def table(self) -> pd.DataFrame:
        """One row for each series and method, the chosen one as `chosen` too."""
        return self.backtest.table(self.choice)

    @property
    def held_out(self) -> pd.DataFrame:
        """How the rule of choosing does on origins that it did not see: one row for each evaluated series.

        Chosen by the origins whose horizon had ended by the first of the last two, judged on these two; beside it
        both baselines on the same two. Columns: level, key, measure, method, mase, rmsse, smape, wape, bias. Empty
        where there are too few origins.
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
        judged_paths = {"chosen": late} | {
            name: backtest.paths[backtest.methods.index(name)][:, -2:] for name in BASELINES
        }
        evaluated = np.isin(self.series_class, EVALUATED)
        parts = [
            backtest.panel.keys.assign(
                method=name, **measures(paths, backtest.actual[:, -2:], *backtest.scales)
            )[evaluated]
            for name, paths in judged_paths.items()
        ]
        return pd.concat(parts, ignore_index=True)

    @property
    def accuracy(self) -> pd.DataFrame:
        """One row for each series: the chosen forecasts of the second half of the origins.

        Their bands come from the residuals of origins whose horizon had ended by then, as those of the
        forecast do, so that this is coverage on what the bands had not seen.
        """
        backtest, panel = self.backtest, self.backtest.panel
        paths, actual = backtest.chosen(self.choice), backtest.actual
        bands = [_bands_at(self, paths, actual, at) for at in range(backtest.origins.size)]
        judged = [at for at, band in enumerate(bands) if band is not None]
        frame = panel.keys.assign(method=self.choice.names, outcome=self.series_class, origins=len(judged))
        for confidence, low, high in ((80, 1, 3), (95, 0, 4)):
            lows, highs = (
                np.stack([bands[at][:, :, column] for at in judged], axis=1)  # type: ignore[index]
                if judged
                else np.full((len(panel), 1, 1), np.nan)
                for column in (low, high)
            )
            known = actual[:, judged] if judged else lows
            frame[f"coverage_{confidence}"] = coverage(lows, highs, known)
            frame[f"interval_score_{confidence}"] = (
                interval_score(lows, highs, known, confidence / 100) / backtest.scales[0]
            )
        return frame


def _bands_at(evaluation: PeriodEvaluation, paths: Floats, actual: Floats, at: int) -> Floats | None:
    """Quantiles for origin number `at` from origins that had ended before it; None where there are too few."""
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
    judged: int,
    settings: DemandSettings,
    run: RunMethod = run_directly,
) -> PeriodEvaluation:
    """Backtest the methods over `judged` steps from each origin, and choose for each series."""
    spacing = max(1, settings.spacing_days // panel.step)
    origins = rolling_origins(panel.size, judged, spacing, settings.origins, OPEN_WINDOW_DAYS // panel.step)
    series_class = classify_series(panel, int(origins[0]) if origins.size else panel.size)
    backtest = Backtest.run(panel, methods, origins, judged, run)
    choice = _with_fallbacks(backtest.choose(series_class, spacing), series_class, backtest.methods)
    return PeriodEvaluation(backtest, choice, series_class, spacing)


def _with_fallbacks(choice: Choice, series_class: NDArray[np.str_], methods: Sequence[str]) -> Choice:
    """Give series that are not evaluated the fixed rule of their class."""
    weights, names = choice.weights.copy(), np.array(choice.names, dtype=object)
    apply_fallbacks(weights, names, series_class, methods)
    combined = {name: kept for name, kept in choice.combined.items() if name in EVALUATED}
    return replace(choice, weights=weights, names=tuple(names), combined=combined)


def by_period(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Frames of days and weeks as one, with the period as its first column."""
    found = [frame.assign(period=period) for period, frame in frames.items()]
    whole = pd.concat(found, ignore_index=True)
    return whole[["period", *(name for name in whole.columns if name != "period")]]
