"""Demand of every series as of an instant: forecasts with bands, backtest, accuracy, components.

    result = forecast(series, as_of=date(2011, 11, 11), settings=DemandSettings())
    result.forecasts    # period, level, key, measure, date, mean, q025 .. q975, method, outcome
    result.backtest     # period, level, key, measure, method, mase, rmsse, smape, wape, bias
    result.accuracy     # the same with coverage and interval scores, for the chosen forecasts

Belongs here: the order of the work for days and weeks, what becomes of odd series. Does not:
methods (`panel_methods`, `local_methods`), judging (`backtest`), bands (`intervals`), adding up (`adding_up`).
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
    Run,
    coverage,
    interval_score,
    measures,
    rolling_origins,
    run_directly,
)
from clm_dagster.domains.demand.local_methods import local_methods
from clm_dagster.domains.demand.lstm import NAME as LSTM
from clm_dagster.domains.demand.lstm import GlobalLSTM
from clm_dagster.domains.demand.outcomes import CONTESTED, outcomes_of
from clm_dagster.domains.demand.outlook import (
    Learn,
    Outlook,
    learn_directly,
    look_ahead,
    own_variances,
    taught,
)
from clm_dagster.domains.demand.panel_methods import (
    CalendarRegression,
    EightWeekMean,
    GlobalBoosting,
    IntermittentDemand,
    Method,
    SeasonalNaive,
    SummedDays,
)
from clm_dagster.domains.demand.rules import Rules, follow_outcomes
from clm_dagster.domains.demand.series import (
    DAYS_OF_RULE,
    DAYS_OF_WEEK,
    KEYS,
    Panel,
    daily_panel,
    weekly_panel,
    with_promotions,
)
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.intervals import conformal_quantiles

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
    lstm: bool = False
    """Whether a recurrent network takes part; it needs torch."""
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
    panels = panels_of(series, as_of, settings, promotions)
    contests = hold_contests(panels, settings, run)
    rules = {period: contest.rules for period, contest in contests.items()}
    return DemandForecast(
        forecasts=forecasts_of(look_ahead_of(rules, panels, settings, run)),
        backtest=by_period({period: contest.table for period, contest in contests.items()}),
        accuracy=by_period({period: contest.accuracy for period, contest in contests.items()}),
        combined={period: contest.choice.good for period, contest in contests.items()},
        days=panels[DAY],
    )


def panels_of(
    series: pd.DataFrame, as_of: date, settings: DemandSettings, promotions: pd.DataFrame | None = None
) -> dict[str, Panel]:
    """Days, and weeks where there is a whole one, up to as_of. Raises ValueError as `series.daily_panel` does."""
    days = daily_panel(series, as_of)
    if promotions is not None:
        days = with_promotions(days, promotions, settings.horizon_weeks * DAYS_OF_WEEK)
    days = days.latest(settings.memory_days)
    weeks = weekly_panel(days)
    return {DAY: days, WEEK: weeks} if weeks.size else {DAY: days}


def hold_contests(
    panels: Mapping[str, Panel], settings: DemandSettings, run: Run = run_directly
) -> dict[str, "Contest"]:
    """The contest of each period."""
    judged = {DAY: settings.horizon_days, WEEK: settings.backtest_weeks}
    return {
        period: hold_contest(
            panel, contestants(settings.jobs, period == WEEK, settings.lstm), judged[period], settings, run
        )
        for period, panel in panels.items()
    }  # fmt: skip


def look_ahead_of(
    rules: Mapping[str, Rules], panels: Mapping[str, Panel], settings: DemandSettings, run: Run = run_directly
) -> dict[str, Outlook]:
    """What the rules of each period say from the panels' end on; periods without rules or panel are left out."""
    horizons = {DAY: settings.horizon_days, WEEK: settings.horizon_weeks}
    return {
        period: look_ahead(
            rules[period],
            panel,
            contestants(settings.jobs, period == WEEK, LSTM in rules[period].methods),
            horizons[period],
            run,
        )
        for period, panel in panels.items()
        if period in rules
    }


def rules_of(
    contests: Mapping[str, "Contest"], settings: DemandSettings, learn: Learn = learn_directly
) -> dict[str, Rules]:
    """The rules of each contest, with what the models of one series have learnt: what later forecasts need."""
    return {
        period: taught(
            contest.rules, contest.backtest.panel, contestants(settings.jobs, period == WEEK), learn
        )
        for period, contest in contests.items()
    }  # fmt: skip


def forecasts_of(outlooks: Mapping[str, Outlook]) -> pd.DataFrame:
    """Forecasts of all periods: period, level, key, measure, date, mean, quantiles, method, outcome."""
    return by_period({period: outlook.forecasts for period, outlook in outlooks.items()})


def contestants(jobs: int = 1, weekly: bool = False, lstm: bool = False) -> list[Method]:
    """Everyone in the contest of days, or of weeks, where the two that learn a calendar sum their days."""
    calendar: list[Method] = [CalendarRegression(), GlobalBoosting()]
    if weekly:
        calendar = [SummedDays(method) for method in calendar]
    rules: list[Method] = [SeasonalNaive(), EightWeekMean(), IntermittentDemand()]
    networks: list[Method] = [GlobalLSTM()] if lstm else []
    return [*rules, *calendar, *local_methods(jobs), *networks]


@dataclass(frozen=True)
class Contest:
    """The contest of one period: how everyone did, and who was chosen."""

    backtest: Backtest
    choice: Choice
    outcomes: NDArray[np.str_]
    spacing: int
    """Periods between origins."""

    @property
    def rules(self) -> Rules:
        """What is kept of it to forecast by, now and at later instants."""
        backtest = self.backtest
        origins = backtest.origins
        return Rules(
            keys=backtest.panel.keys, methods=backtest.methods, weights=self.choice.weights,
            names=self.choice.names, outcomes=self.outcomes, good=self.choice.good,
            first_origin=backtest.panel.dates[origins[0]] if origins.size else None,
            paths=backtest.chosen(self.choice), actual=backtest.actual, variances=self._variances(),
        )  # fmt: skip

    def _variances(self) -> Floats:
        """(series,) mean squared errors of the backtest; of a young series, the variance of its own values."""
        own = own_variances(self.backtest.panel)
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
        """How the rule of choosing does on origins that it did not see: one row for each contested series.

        Chosen by the origins whose horizon had ended by the first of the last two, judged on these two; beside it
        both baselines on the same two. Columns: level, key, measure, method, mase, rmsse, smape, wape, bias. Empty
        where there are too few origins.
        """
        backtest, origins = self.backtest, self.backtest.origins
        known = np.flatnonzero(origins + backtest.horizon <= origins[-2]) if origins.size > 2 else origins[:0]
        if not known.size:
            return pd.DataFrame(columns=[*KEYS, "method", *MEASURES])
        early = replace(backtest, origins=origins[known], paths=backtest.paths[:, :, known])
        choice = _with_rules(early.choose(self.outcomes, self.spacing), self.outcomes, backtest.methods)
        late = np.einsum("sm,msoh->soh", choice.weights, backtest.paths[:, :, -2:])
        said = {"chosen": late} | {
            name: backtest.paths[backtest.methods.index(name)][:, -2:] for name in BASELINES
        }
        judged = np.isin(self.outcomes, CONTESTED)
        parts = [
            backtest.panel.keys.assign(
                method=name, **measures(paths, backtest.actual[:, -2:], *backtest.scales)
            )[judged]
            for name, paths in said.items()
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
    panel: Panel, methods: Sequence[Method], judged: int, settings: DemandSettings, run: Run = run_directly
) -> Contest:
    """Backtest the methods over `judged` steps from each origin, and choose for each series."""
    spacing = max(1, settings.spacing_days // panel.step)
    origins = rolling_origins(panel.size, judged, spacing, settings.origins, DAYS_OF_RULE // panel.step)
    outcomes = outcomes_of(panel, int(origins[0]) if origins.size else panel.size)
    backtest = Backtest.run(panel, methods, origins, judged, run)
    choice = _with_rules(backtest.choose(outcomes, spacing), outcomes, backtest.methods)
    return Contest(backtest, choice, outcomes, spacing)


def _with_rules(choice: Choice, outcomes: NDArray[np.str_], methods: Sequence[str]) -> Choice:
    """Series that are not in the contest get the rule of their outcome."""
    weights, names = choice.weights.copy(), np.array(choice.names, dtype=object)
    follow_outcomes(weights, names, outcomes, methods)
    good = {kind: kept for kind, kept in choice.good.items() if kind in CONTESTED}
    return replace(choice, weights=weights, names=tuple(names), good=good)


def by_period(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Frames of days and weeks as one, with the period as its first column."""
    found = [frame.assign(period=period) for period, frame in frames.items()]
    whole = pd.concat(found, ignore_index=True)
    return whole[["period", *(name for name in whole.columns if name != "period")]]
