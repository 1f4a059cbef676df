"""What a failed check means, in plain words.

Belongs here: the words for the checks of the platform. Does not: those for the checks of a domain (its `definitions`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from clm_dagster.platform.trained_models.checks import COVERAGE, GATE


@dataclass(frozen=True)
class Headline:
    """A failed check in plain words. title: what is wrong. action: what to do about it."""

    title: str
    action: str


PLATFORM: Mapping[str, Headline] = {
    GATE: Headline(
        "Lost gate: the newest training did not beat its baseline",
        "nothing at once: the champion before it goes on, or else the naive baseline. Look at the training's MLflow "
        "run for what changed; a second refusal in a row needs a person.",
    ),
    COVERAGE: Headline(
        "No champion: the naive baseline serves",
        "see at the model's asset why no training passed its gate.",
    ),
}


def headline_of(check: str, known: Mapping[str, Headline]) -> Headline:
    """Return the words for a failed check. The name of one without any says what should hold."""
    return known.get(check) or Headline(
        f'Check failed: "{check.replace("_", " ")}"',
        "open the check and correct what it names, then run again.",
    )
