"""Settings that the demand tables receive. Their values are part of the version of a table.

Belongs here: settings of evaluations, forecasts and reorder points. Does not: users' settings (`settings`), from which
`tables` derives some of these.
"""

from dataclasses import dataclass

from clm_dagster.domains.demand.names import DAY, WEEK


@dataclass(frozen=True)
class DemandSettings:
    """Horizons of the forecasts, and settings of the evaluation."""

    horizon_days: int = 28
    horizon_weeks: int = 13
    backtest_weeks: int = 8
    """Weeks ahead that are evaluated; later weeks use the intervals of the last evaluated week."""
    origins: int = 8
    spacing_days: int = 14
    """Days between origins; the last is one horizon before as_of."""
    memory_days: int = 4 * 364
    """Days of history that models are fitted on."""
    lstm: bool = False
    """Whether the LSTM is a candidate; it needs torch."""
    jobs: int = 1
    """Number of processes for models that are fitted one series at a time."""

    @property
    def horizons(self) -> dict[str, int]:
        """The number of steps of a forecast, by period."""
        return {DAY: self.horizon_days, WEEK: self.horizon_weeks}


@dataclass(frozen=True)
class ReorderSettings:
    """Settings of the purchasing team."""

    lead_days: int = 7
    """Days from placing an order to having the product on the shelf."""
    service_level: float = 0.95
    """Probability of no shortage in a lead time, above 0.5 and below 1."""
