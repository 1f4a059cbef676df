"""Gates: whether a winner becomes champion, and whether a result suggests a leak.

Belongs here: rules on numbers that return sentences. Does not: computing the numbers, or moving the champion.
The sentences are stored with each trained model, so a new wording changes stored rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clm_dagster.statistics.evaluation.intervals import Difference

UNCHANGED = "The champion does not change."
BACKFILL = "This is not the newest partition; a backfill never changes the champion."


@dataclass(frozen=True)
class Verdict:
    """Whether a winner becomes champion, with the reasons for and reasons_against it as sentences.

    parts: for a model that is judged by parts, such as two lists, whether each part passes for itself; the winner is
    accepted if any does.
    """

    accepted: bool
    reasons: tuple[str, ...] = field(default=())
    parts: Mapping[str, bool] = field(default_factory=dict)

    @classmethod
    def of(
        cls, winner: str, reasons_for: Sequence[str], reasons_against: Sequence[str], is_newest: bool
    ) -> "Verdict":
        """Accept the winner if there is no reason against it and its partition is the newest."""
        against = [*reasons_against, *([] if is_newest else [BACKFILL])]
        if against:
            return cls(False, (UNCHANGED, *against))
        return cls(True, (f"{winner} becomes champion.", *reasons_for))

    @classmethod
    def by_parts(cls, winner: str, findings: Mapping[str, tuple[bool, str]], is_newest: bool) -> "Verdict":
        """Accept each part for itself.

        findings: part -> whether it passes, and the sentence that says why. The reasons name the parts that pass first.
        """
        parts = {part: passed for part, (passed, _) in findings.items()}
        sentences = tuple(text for _, text in findings.values())
        passed = [part for part, accepted in parts.items() if accepted]
        if not passed or not is_newest:
            backfill = () if is_newest else (BACKFILL,)
            return cls(False, (UNCHANGED, *sentences, *backfill), parts)
        refused = [part for part, accepted in parts.items() if not accepted]
        what = f" for {' and '.join(passed)}" if refused else ""
        baseline = f"The naive baseline stays for {' and '.join(refused)}." if refused else ""
        first = (f"{winner} becomes champion{what}.", *((baseline,) if baseline else ()))
        return cls(True, (*first, *sentences), parts)

    def __str__(self) -> str:
        return " ".join(self.reasons)


def suspected_leak(name: str, auc: float, limit: float) -> str | None:
    """Return a warning if an AUC is implausibly high, else None.

    Repurchases in a shop are mostly random. An AUC above the limit means that a feature contains the label, for
    example `recency > horizon` of a snapshot inside the label's window.
    """
    if auc <= limit:
        return None
    return (
        f"Suspected leak: {name} ranks with an AUC of {auc:.3f}, above the limit {limit:g}. Look for a feature "
        "that is measured after as_of, or for a label that is computed from the features."
    )


def champion_verdict(
    winner: str,
    baseline: str,
    gain: Difference,
    calibration_error: float,
    calibration_limit: float,
    leaks: tuple[str, ...] = (),
    champion_loss: Difference | None = None,
    is_newest: bool = True,
) -> Verdict:
    """Apply the champion rule: newest partition, beats the naive baseline, calibrated, not worse than the champion.

    gain: AUC of the winner minus AUC of the baseline on the test snapshot. champion_loss: log loss of the winner
    minus log loss of the current champion on the same test snapshot; None without a champion. leaks: messages of
    `suspected_leak` for any candidate.
    """
    reasons_against = list(leaks)
    reasons_for = []
    if gain.above_zero:
        reasons_for.append(f"{winner} ranks better than {baseline} alone: AUC {gain}.")
    else:
        reasons_against.append(
            f"{winner} does not clearly rank better than {baseline} alone: AUC {gain} includes zero or less."
        )
    calibration = f"calibration error {calibration_error:.3f}, limit {calibration_limit:g}"
    if calibration_error <= calibration_limit:
        reasons_for.append(f"Its probabilities are calibrated: {calibration}.")
    else:
        reasons_against.append(f"Its probabilities are not calibrated: {calibration}.")
    if champion_loss is None:
        reasons_for.append("There was no champion before.")
    elif champion_loss.above_zero:
        reasons_against.append(
            f"It is worse than the current champion on the same test snapshot: log loss {champion_loss}."
        )
    else:
        reasons_for.append(f"It is not worse than the current champion: log loss {champion_loss}.")
    return Verdict.of(winner, reasons_for, reasons_against, is_newest)
