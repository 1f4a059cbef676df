"""Demand of every series as of an instant: forecasts with bands, backtest, accuracy, components.

    result = forecast(series, as_of=date(2011, 11, 11), settings=DemandSettings())
    result.forecasts    # period, level, key, measure, date, mean, q025 .. q975, method, outcome
    result.backtest     # period, level, key, measure, method, mase, rmsse, smape, wape, bias
    result.accuracy     # the same with coverage and interval scores, for the chosen forecasts

Belongs here: the order of the work for days and weeks, what becomes of odd series. Does not:
methods (`panel_methods`, `local_methods`), judging (`backtest`), bands (`intervals`), adding up (`adding_up`).

What a series gets, its `outcome`:

- regular, intermittent: the contest. Intermittent means that a sale comes on average every 1.32 open days
  or less often over the last half year (Syntetos, Boylan and Croston 2005).
- young: it began less than eight weeks before the contest's first origin. The mean of its weekdays over
  up to eight weeks, with the band that others of its kind have.
- constant: one value on every open day of the last half year. That value, without a band.
- dormant: no sale in the last half year. Zero, without a band.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.demand.adding_up import add_up
from clm_dagster.demand.backtest import (
    BASELINES,
    Backtest,
    Choice,
    Run,
    coverage,
    interval_score,
    rolling_origins,
    run_directly,
)
from clm_dagster.demand.css import Floats
from clm_dagster.demand.intervals import QUANTILES, conformal_quantiles
from clm_dagster.demand.local_methods import local_methods
from clm_dagster.demand.panel_methods import (
    CalendarRegression,
    EightWeekMean,
    GlobalBoosting,
    IntermittentDemand,
    Method,
    SeasonalNaive,
    SummedDays,
)
from clm_dagster.demand.series import (
    DAYS_OF_RULE,
    DAYS_OF_WEEK,
    Panel,
    daily_panel,
    weekly_panel,
    with_promotions,
)

QUANTILE_COLUMNS = tuple(f"q{1000 * q:03.0f}" if 1000 * q % 10 else f"q{100 * q:02.0f}" for q in QUANTILES)
INTERMITTENT = 1.32
REGULAR, SPARSE, YOUNG, CONSTANT, DORMANT = "regular", "intermittent", "young", "constant", "dormant"
DAY, WEEK = "day", "week"


@dataclass(frozen=True)
class DemandSettings:
    """How far ahead, and how the contest is held."""

    horizon_days: int = 28
    horizon_weeks: int = 13
    backtest_weeks: int = 8
    """Weeks ahead that are judged; the bands of later weeks are those of the farthest judged."""
    origins: int = 8
    spacing_days: int = 14
    """Days between origins; the last is one horizon before as_of."""
    memory_days: int = 4 * 364
    """Older days are not learnt from."""
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
    """Which methods each period combines for each kind of series."""
    days: Panel
    """The daily panel that was learnt from."""


def forecast(
    series: pd.DataFrame,
    as_of: date,
    settings: DemandSettings | None = None,
    promotions: pd.DataFrame | None = None,
    run: Run = run_directly,
) -> DemandForecast:
    """Forecast every series of core.demand_series (level, key, measure, day, value) from as_of on.

    Values on or after as_of are not looked at. Units and revenue of the levels add up to the shop's, to the
    penny. `promotions` are level, key, day, discount, planned days included. The answer does not depend on
    the order of rows. `run` may keep what methods answer, so that a killed run goes on (`checkpoints`). Raises
    ValueError on a broken frame (`series.daily_panel`).
    """  # fmt: skip
    settings = settings or DemandSettings()
    days = daily_panel(series, as_of)
    if promotions is not None:
        days = with_promotions(days, promotions, settings.horizon_weeks * DAYS_OF_WEEK)
    days = days.latest(settings.memory_days)
    weeks = weekly_panel(days)
    daily = hold_contest(
        days, contestants(settings.jobs), settings.horizon_days, settings.horizon_days, settings, run
    )
    contests = {DAY: daily}
    if weeks.size:
        contests[WEEK] = hold_contest(
            weeks, contestants(settings.jobs, weekly=True), settings.horizon_weeks, settings.backtest_weeks,
            settings, run,
        )  # fmt: skip
    return DemandForecast(
        forecasts=_stacked({name: contest.forecasts for name, contest in contests.items()}),
        backtest=_stacked(
            {name: contest.backtest.table(contest.choice) for name, contest in contests.items()}
        ),
        accuracy=_stacked({name: contest.accuracy for name, contest in contests.items()}),
        combined={name: contest.choice.good for name, contest in contests.items()},
        days=days,
    )


def contestants(jobs: int = 1, weekly: bool = False) -> list[Method]:
    """Everyone in the contest of days, or of weeks, where the two that learn a calendar sum their days."""
    calendar: list[Method] = [CalendarRegression(), GlobalBoosting()]
    if weekly:
        calendar = [SummedDays(method) for method in calendar]
    rules: list[Method] = [SeasonalNaive(), EightWeekMean(), IntermittentDemand()]
    return [*rules, *calendar, *local_methods(jobs)]


@dataclass(frozen=True)
class Contest:
    """The contest of one period: who was chosen, and what it says from as_of on."""

    backtest: Backtest
    choice: Choice
    outcomes: NDArray[np.str_]
    mean: Floats
    """(series, horizon), reconciled."""
    quantiles: Floats
    """(series, horizon, quantiles)."""

    @property
    def forecasts(self) -> pd.DataFrame:
        """One row for each series and date."""
        panel, horizon = self.backtest.panel, self.mean.shape[1]
        frame = panel.keys.loc[panel.keys.index.repeat(horizon)].reset_index(drop=True)
        frame["date"] = np.tile(panel.ahead(panel.size, horizon).to_numpy(), len(panel))
        frame["mean"] = self.mean.ravel()
        for i, name in enumerate(QUANTILE_COLUMNS):
            frame[name] = self.quantiles[:, :, i].ravel()
        frame["method"] = np.repeat(np.array(self.choice.names, dtype=object), horizon)
        frame["outcome"] = np.repeat(self.outcomes.astype(object), horizon)
        return frame

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
        frame = panel.keys.assign(method=self.choice.names, outcome=self.outcomes, origins=len(judged))
        for level, low, high in ((80, 1, 3), (95, 0, 4)):
            lows, highs = (
                np.stack([bands[at][:, :, column] for at in judged], axis=1)  # type: ignore[index]
                if judged else np.full((len(panel), 1, 1), np.nan)
                for column in (low, high)
            )  # fmt: skip
            came = actual[:, judged] if judged else lows
            frame[f"coverage_{level}"] = coverage(lows, highs, came)
            frame[f"interval_score_{level}"] = (
                interval_score(lows, highs, came, level / 100) / backtest.scales[0]
            )
        return frame


def _bands_at(contest: Contest, paths: Floats, actual: Floats, at: int) -> Floats | None:
    """Quantiles for origin number `at` from origins that had ended before it; None where there are too few."""
    backtest = contest.backtest
    ended = np.flatnonzero(backtest.origins + backtest.horizon <= backtest.origins[at])
    if ended.size < 2:
        return None
    pools = 1 if backtest.panel.step == 1 else 2
    return conformal_quantiles(paths[:, at], paths[:, ended], actual[:, ended], contest.outcomes, pools)


def hold_contest(
    panel: Panel,
    methods: Sequence[Method],
    horizon: int,
    judged: int,
    settings: DemandSettings,
    run: Run = run_directly,
) -> Contest:
    """Backtest the methods over `judged` steps, choose, forecast `horizon` steps, add up, put bands on."""  # fmt: skip
    spacing = max(1, settings.spacing_days // panel.step)
    least = 2 * DAYS_OF_RULE // panel.step // 2
    origins = rolling_origins(panel.size, judged, spacing, settings.origins, least)
    outcomes = outcomes_of(panel, int(origins[0]) if origins.size else panel.size)
    backtest = Backtest.run(panel, methods, origins, judged, run)
    choice = _with_rules(backtest.choose(outcomes, spacing), outcomes, backtest.methods)
    now = np.array([panel.size])
    ahead = np.stack([run(method, panel, now, horizon)[:, 0] for method in methods])
    mean = choice.combine(ahead)
    mean[outcomes == DORMANT] = 0
    is_constant = outcomes == CONSTANT
    value = np.nan_to_num(panel.values[is_constant, -DAYS_OF_RULE // panel.step :]).max(axis=1, initial=0)
    mean[is_constant] = np.where(mean[is_constant] > 0, value[:, None], 0)
    mean = add_up(panel.keys, mean, _variances(backtest, choice, panel))
    pools = 1 if panel.step == 1 else 2
    paths = backtest.chosen(choice)
    quantiles = conformal_quantiles(mean, paths, backtest.actual, outcomes, pools)
    flat = np.isin(outcomes, (CONSTANT, DORMANT))
    quantiles[flat] = mean[flat][:, :, None]
    return Contest(backtest, choice, outcomes, mean, quantiles)


def outcomes_of(panel: Panel, first_origin: int) -> NDArray[np.str_]:
    """(series,) what becomes of each series, see the module's docstring."""
    recent = panel.values[:, -max(1, DAYS_OF_RULE // panel.step) :]
    is_open = np.isfinite(recent)
    if panel.step == 1:
        weekdays = panel.weekdays[-recent.shape[1] :]
        is_open &= panel.open_weekdays(panel.size)[:, weekdays] & ~panel.shut[-recent.shape[1] :]
    values = np.where(is_open, recent, np.nan)
    sales = np.nansum(values != 0, axis=1, where=is_open)
    count = np.maximum(is_open.sum(axis=1), 1)
    low, high = (
        f(np.where(is_open, recent, other), axis=1) for f, other in ((np.min, np.inf), (np.max, -np.inf))
    )
    eight_weeks = 8 * DAYS_OF_WEEK // panel.step
    return np.select(
        [sales == 0, (low == high) & (count >= eight_weeks), panel.begins > first_origin - eight_weeks,
         count >= INTERMITTENT * sales],
        [DORMANT, CONSTANT, YOUNG, SPARSE],
        REGULAR,
    )  # fmt: skip


def _with_rules(choice: Choice, outcomes: NDArray[np.str_], methods: Sequence[str]) -> Choice:
    """Series that are not in the contest get the rule of their outcome."""
    weights, names = choice.weights.copy(), np.array(choice.names, dtype=object)
    ruled = np.isin(outcomes, (YOUNG, CONSTANT, DORMANT))
    weights[ruled] = np.array(methods) == BASELINES[1]
    names[ruled] = BASELINES[1]
    names[outcomes == CONSTANT], names[outcomes == DORMANT] = CONSTANT, "zero"
    good = {kind: kept for kind, kept in choice.good.items() if kind in (REGULAR, SPARSE)}
    return replace(choice, weights=weights, names=tuple(names), good=good)


def _variances(backtest: Backtest, choice: Choice, panel: Panel) -> Floats:
    """(series,) mean squared errors of the backtest; of a young series, the variance of its own values."""
    own = np.where(np.isfinite(panel.values), panel.values, 0)
    known = np.maximum(np.isfinite(panel.values).sum(axis=1), 1)
    variance = np.square(own).sum(axis=1) / known - np.square(own.sum(axis=1) / known)
    if not backtest.origins.size:
        return variance
    squared = np.square(backtest.errors(backtest.chosen(choice))).mean(axis=(1, 2))
    return np.where(np.isfinite(squared) & (squared > 0), squared, variance)


def _stacked(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    found = [frame.assign(period=period) for period, frame in frames.items()]
    whole = pd.concat(found, ignore_index=True)
    return whole[["period", *(name for name in whole.columns if name != "period")]]
