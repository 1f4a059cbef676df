"""Who becomes champion, and what is too good to be true, in plain words. Pure: numbers in, sentences out."""

from dataclasses import dataclass, field

from clm_dagster.statistics.evaluation.intervals import Difference


@dataclass(frozen=True)
class Verdict:
    """Whether a winner becomes champion, and every reason for and against it as a sentence."""

    accepted: bool
    reasons: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return " ".join(self.reasons)


def suspected_leak(name: str, auc: float, limit: float) -> str | None:
    """A sentence if an AUC is too good to be true, else None.

    On shops' data a repurchase is mostly chance; an AUC above the limit means that a feature knows the
    label, as `recency > horizon` of a snapshot inside the label's window does.
    """
    if auc <= limit:
        return None
    return (
        f"Suspected leak: {name} ranks with an AUC of {auc:.3f}, above the limit {limit:g}. Look for a feature "
        "that is measured after as_of, or for a label that is computed from the features."
    )


def judge(
    winner: str,
    baseline: str,
    gain: Difference,
    calibration_error: float,
    calibration_limit: float,
    leaks: tuple[str, ...] = (),
    champion_loss: Difference | None = None,
    is_newest: bool = True,
) -> Verdict:
    """The champion rule: newest partition, better than the naive baseline, calibrated, not worse than the champion.

    gain: the winner's AUC less the baseline's on the test snapshot. champion_loss: the winner's log loss
    less the present champion's on the same test snapshot; None where there is no champion. leaks: what
    `suspected_leak` said of any candidate.
    """
    against = list(leaks)
    kept = []
    if gain.above_zero:
        kept.append(f"{winner} ranks better than {baseline} alone: AUC {gain}.")
    else:
        against.append(
            f"{winner} does not clearly rank better than {baseline} alone: AUC {gain} includes zero or less."
        )
    said = f"calibration error {calibration_error:.3f}, limit {calibration_limit:g}"
    if calibration_error <= calibration_limit:
        kept.append(f"Its probabilities hold: {said}.")
    else:
        against.append(f"Its probabilities do not hold: {said}.")
    if champion_loss is None:
        kept.append("There is no champion yet.")
    elif champion_loss.above_zero:
        against.append(
            f"It is worse than the present champion on the same test snapshot: log loss {champion_loss}."
        )
    else:
        kept.append(f"It is not worse than the present champion: log loss {champion_loss}.")
    if not is_newest:
        against.append("This is not the newest partition: a backfill of the past moves no champion.")
    if against:
        return Verdict(False, ("The old champion stays.", *against))
    return Verdict(True, (f"{winner} becomes champion.", *kept))
