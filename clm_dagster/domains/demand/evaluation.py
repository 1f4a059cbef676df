"""The evaluation of all candidates, daily and weekly, as tables and summary figures.

Belongs here: combining the evaluations of both periods. Does not: running them (`model`), MLflow and the warehouse
(`training`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from clm_dagster.domains.demand.gates import PeriodGain, gain_over
from clm_dagster.domains.demand.model import PeriodEvaluation, by_period
from clm_dagster.domains.demand.names import BANDS, BASELINE, BASELINES, DAY, MEASURES, WEEK
from clm_dagster.domains.demand.policy import ForecastPolicy
from clm_dagster.domains.demand.series import KEYS, Panel
from clm_dagster.domains.demand.table_settings import DemandSettings

# Methods whose measures per series are stored in the table. MLflow has those of all candidates as an artifact.
KEPT = ("chosen", *BASELINES)


@dataclass(frozen=True)
class DemandEvaluation:
    """The daily and weekly evaluations, and the resulting policies.

    panels, evaluations, policies: by period. settings: of the evaluation. seconds: its duration.
    """

    panels: Mapping[str, Panel]
    evaluations: Mapping[str, PeriodEvaluation]
    policies: Mapping[str, ForecastPolicy]
    settings: DemandSettings
    seconds: float

    @property
    def origins(self) -> int:
        """Number of earlier dates at which daily forecasts were evaluated."""
        return int(self.evaluations[DAY].backtest.origins.size)

    @property
    def combined(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """The methods that are combined, by period and class of series."""
        return {period: evaluation.choice.combined for period, evaluation in self.evaluations.items()}

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """Measures of the chosen forecasts and the baselines on held-out origins, days and weeks."""
        return by_period({period: evaluation.held_out for period, evaluation in self.evaluations.items()})

    @cached_property
    def accuracy(self) -> pd.DataFrame:
        """Coverage and interval scores, one row for each period and series."""
        return by_period({period: evaluation.accuracy for period, evaluation in self.evaluations.items()})

    @cached_property
    def table(self) -> pd.DataFrame:
        """Measures, one row for each period, series and method; `chosen` has those of its intervals as well."""
        measured = by_period({period: evaluation.table for period, evaluation in self.evaluations.items()})
        bands = self.accuracy[["period", *KEYS, "outcome", "origins", *BANDS]].assign(method="chosen")
        found = measured.merge(bands, on=["period", *KEYS, "method"], how="left")
        names = self.accuracy[["period", *KEYS, "method"]].rename(columns={"method": "model"})
        return found.merge(names, on=["period", *KEYS], how="left")

    @cached_property
    def means(self) -> pd.DataFrame:
        """Means over the series of each hierarchy level: period, level, method, series, measures."""
        table = self.table
        groups = table[table["mase"].notna()].groupby(["period", "level", "method"], as_index=False)
        return groups.agg(series=("mase", "size"), **{name: (name, "mean") for name in (*MEASURES, *BANDS)})

    @cached_property
    def coverage(self) -> pd.DataFrame:
        """Mean coverage over the series of each period."""
        return self.accuracy.groupby("period", as_index=False)[["coverage_80", "coverage_95"]].mean()

    @cached_property
    def summary(self) -> dict[str, float | None]:
        """Means over the series on held-out origins, and the coverage of the prediction intervals."""
        found: dict[str, float | None] = {}
        for period in (DAY, WEEK):
            rows = self.held_out[self.held_out["period"] == period]
            for name in ("mase", "rmsse"):
                found[f"{period}_{name}"] = _mean(rows[rows["method"] == "chosen"], name)
            found[f"{period}_mase_of_mean"] = _mean(rows[rows["method"] == BASELINE], "mase")
            for name in ("coverage_80", "coverage_95"):
                found[f"{period}_{name}"] = _mean(self.coverage[self.coverage["period"] == period], name)
        return found

    @property
    def gains(self) -> dict[str, PeriodGain]:
        """MASE of the chosen forecasts minus that of the baseline, for days and weeks."""
        return {period: self._gain(period) for period in (DAY, WEEK)}

    def _gain(self, period: str) -> PeriodGain:
        rows = self.held_out[self.held_out["period"] == period]
        return PeriodGain(gain_over(rows, BASELINE), int(rows["mase"].notna().sum() // len(KEPT)))


def _mean(rows: pd.DataFrame, name: str) -> float | None:
    if name not in rows or rows[name].isna().all():
        return None
    return float(rows[name].mean())


def records(frame: pd.DataFrame) -> list[dict[str, float]]:
    """Return the rows of a frame of measures as dicts."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
