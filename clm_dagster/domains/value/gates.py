"""Who becomes champion of the value contest, in plain words. Pure: numbers in, sentences out."""

from collections.abc import Mapping

from clm_dagster.statistics.evaluation import Difference, Verdict

# The dumb rules that a champion must beat, as they are: what the customer spent before.
BASELINES = ("past_rate", "past_year", "last_period")
OWN_PAST = "past_rate"
COVERAGE_ROOM = 0.05


def judge_value(
    winner: str,
    mae_over: Mapping[str, Difference],
    catch_over: Mapping[str, Difference],
    coverage: float,
    wanted: float,
    champion_mae: Difference | None = None,
    is_newest: bool = True,
) -> Verdict:
    """The champion rule: newest partition, better than what was spent before, intervals hold, not worse than now.

    mae_over, catch_over: the winner's figure less each naive baseline's on the test snapshot, at one level. Its MAE
    must be smaller than that of the customer's own past rate, and neither MAE nor catch clearly worse than any
    baseline's. A clearly smaller MAE is not asked for: a handful of wholesalers decide it.
    coverage: measured on the test snapshot, wanted: what the intervals promise. champion_mae: the winner's MAE less
    the present champion's; None where there is none.
    """
    kept: list[str] = []
    against: list[str] = []
    for rule, gain in mae_over.items():
        holds = gain.value < 0 if rule == OWN_PAST else not gain.above_zero
        (kept if holds else against).append(f"{winner}'s MAE less that of {rule} at the same level: {gain}.")
    for rule, gain in catch_over.items():
        (against if gain.below_zero else kept).append(f"Share of revenue caught against {rule}: {gain}.")
    said = f"{coverage:.1%} of the customers lie within intervals of {wanted:.0%}"
    (kept if abs(coverage - wanted) <= COVERAGE_ROOM else against).append(f"{said}.")
    if champion_mae is None:
        kept.append("There is no champion yet.")
    else:
        (against if champion_mae.above_zero else kept).append(
            f"On the same test snapshot its MAE is {champion_mae} from the present champion's."
        )
    if not is_newest:
        against.append("This is not the newest partition: a backfill of the past moves no champion.")
    if against:
        return Verdict(False, ("The old champion stays.", *against))
    return Verdict(True, (f"{winner} becomes champion.", *kept))
