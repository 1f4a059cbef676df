"""The champion rule of customer value.

Belongs here: pure functions, numbers in and sentences out. Does not belong here: the metrics (`metrics`), promotion
(the engine of trained models).
"""

from collections.abc import Mapping

from clm_dagster.statistics.evaluation import Difference, Verdict

# The naive baselines that a champion must beat: projections of past spend, not scaled to the forecast level.
BASELINES = ("past_rate", "past_year", "last_period")
OWN_PAST = "past_rate"
COVERAGE_TOLERANCE = 0.05


def value_verdict(
    winner: str,
    mae_over: Mapping[str, Difference],
    capture_over: Mapping[str, Difference],
    coverage: float,
    nominal_coverage: float,
    champion_mae: Difference | None = None,
    is_newest: bool = True,
) -> Verdict:
    """Decide whether the winner becomes champion, with a sentence for each reason.

    It must be from the newest partition, beat the naive baselines, have intervals with the nominal coverage, and not be
    worse than the current champion.

    mae_over, capture_over: the winner's metric minus that of each naive baseline on the test snapshot, at the same
    level. The MAE must be smaller than that of the customer's past rate. Neither MAE nor revenue capture may be
    significantly worse than that of any baseline. A significantly smaller MAE is not required, because a handful of
    wholesalers determine it. coverage: measured on the test snapshot. nominal_coverage: that of the intervals.
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
    sentence = f"{coverage:.1%} of the customers are within the {nominal_coverage:.0%} intervals"
    (reasons_for if abs(coverage - nominal_coverage) <= COVERAGE_TOLERANCE else reasons_against).append(
        f"{sentence}."
    )
    if champion_mae is None:
        reasons_for.append("There is no champion yet.")
    else:
        (reasons_against if champion_mae.above_zero else reasons_for).append(
            f"MAE minus that of the current champion, on the same test snapshot: {champion_mae}."
        )
    return Verdict.of(winner, reasons_for, reasons_against, is_newest)
