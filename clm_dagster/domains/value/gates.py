"""The champion rule of customer value.

Belongs here: pure functions, numbers in and sentences out. Does not belong here: the metrics (`metrics`), promotion
(the engine of trained models).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clm_dagster.domains.value.names import OWN_PAST
from clm_dagster.statistics.evaluation import Difference, Verdict

Floats = NDArray[np.float64]
COVERAGE_TOLERANCE = 0.05
# Coverage measured on few customers may also differ from the nominal one by this many standard errors.
STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class IntervalCoverage:
    """Coverage of intervals on the test snapshot, for customers whose interval has a width and for the others.

    nominal: of the intervals. overall: share of all customers within their interval. wide, flat: the same among
    customers whose interval has a width and among those with the interval [0, 0]; None if there are none.
    wide_customers, flat_customers: their numbers.

    An interval of [0, 0] covers all customers who buy nothing. Where most do, its coverage is above the nominal one,
    and that is right. A distance from the nominal coverage is therefore only a fault among intervals with a width.
    Intervals without one must not cover fewer.
    """

    nominal: float
    overall: float
    wide: float | None
    flat: float | None
    wide_customers: int
    flat_customers: int

    @classmethod
    def of(cls, actual: Floats, low: Floats, high: Floats, nominal: float) -> "IntervalCoverage":
        """Measure the coverage of n customers: actual amounts and bounds, in money. A negative amount is outside."""
        inside, has_width = (low <= actual) & (actual <= high), high > low
        wide, flat = int(has_width.sum()), int((~has_width).sum())
        return cls(
            nominal,
            float(inside.mean()),
            float(inside[has_width].mean()) if wide else None,
            float(inside[~has_width].mean()) if flat else None,
            wide,
            flat,
        )

    @property
    def holds(self) -> bool:
        """Whether the intervals have their nominal coverage."""
        wide = self.wide is None or abs(self.wide - self.nominal) <= self._tolerance(self.wide_customers)
        flat = self.flat is None or self.flat >= self.nominal - self._tolerance(self.flat_customers)
        return wide and flat

    def _tolerance(self, customers: int) -> float:
        standard_error = float(np.sqrt(self.nominal * (1 - self.nominal) / customers))
        return max(COVERAGE_TOLERANCE, STANDARD_ERRORS * standard_error)

    def __str__(self) -> str:
        parts = []
        if self.wide is not None:
            parts.append(
                f"{self.wide:.1%} of the {self.wide_customers} customers with an interval of some width are within it "
                f"(nominal {self.nominal:.0%})"
            )
        if self.flat is not None:
            parts.append(
                f"{self.flat:.1%} of the {self.flat_customers} customers with the interval 0 to 0 spent nothing"
            )
        return "; ".join(parts)


def value_verdict(
    winner: str,
    mae_over: Mapping[str, Difference],
    capture_over: Mapping[str, Difference],
    coverage: IntervalCoverage,
    champion_mae: Difference | None = None,
    is_newest: bool = True,
) -> Verdict:
    """Decide whether the winner becomes champion, with a sentence for each reason.

    It must be from the newest partition, beat the naive baselines, have intervals with the nominal coverage, and not be
    worse than the current champion.

    mae_over, capture_over: the winner's metric minus that of each naive baseline on the test snapshot, at the same
    level. The MAE must be smaller than that of the customer's past rate. Neither MAE nor revenue capture may be
    significantly worse than that of any baseline. A significantly smaller MAE is not required, because a handful of
    wholesalers determine it. coverage: measured on the test snapshot.
    champion_mae: the winner's MAE minus the current champion's; None if there is no champion.
    """
    reasons_for: list[str] = []
    reasons_against: list[str] = []
    for baseline, gain in mae_over.items():
        holds = gain.value < 0 if baseline == OWN_PAST else not gain.above_zero
        (reasons_for if holds else reasons_against).append(
            f"MAE of {winner} minus that of {baseline}, at the same level: {gain}."
        )
    for baseline, gain in capture_over.items():
        (reasons_against if gain.below_zero else reasons_for).append(
            f"Revenue capture minus that of {baseline}: {gain}."
        )
    (reasons_for if coverage.holds else reasons_against).append(f"{coverage}.")
    if champion_mae is None:
        reasons_for.append("There was no champion before.")
    else:
        (reasons_against if champion_mae.above_zero else reasons_for).append(
            f"MAE minus that of the current champion, on the same test snapshot: {champion_mae}."
        )
    return Verdict.of(winner, reasons_for, reasons_against, is_newest)
