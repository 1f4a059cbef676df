"""Validation of the map of lifecycle stages.

Belongs here: pure functions, frames in and sentences out. Does not belong here: the check itself (`checks`).
"""

import pandas as pd

STAGES = ("prospect", "new", "growing", "loyal", "reactivated", "at_risk", "lost")
# Common stage vocabularies, each in its own order. Their first stages may hold people who are not yet known.
VOCABULARIES = {
    "four_stage": ("acquisition", "growth", "maturity", "churn"),
    "five_stage": ("acquisition", "conversion", "retention", "expansion", "churn"),
    "seven_stage": ("acquire", "attract", "register", "interact", "retain", "promote", "leave"),
}


def stage_map_problems(rows: pd.DataFrame) -> list[str]:
    """Return a sentence for each problem of a map from stage to the three vocabularies; none if it is valid.

    A valid map lists each of STAGES exactly once and nothing else, and every name is part of its vocabulary.
    """
    counts = rows["stage"].value_counts()
    problems = [f"the stage {stage!r} is missing" for stage in STAGES if stage not in counts]
    for stage, count in sorted(counts.items()):
        if stage not in STAGES:
            problems.append(f"{stage!r} is not a stage; the stages are {', '.join(STAGES)}")
        elif count > 1:
            problems.append(f"the stage {stage!r} appears {count} times")
    if rows["stage"].isna().any():
        problems.append("a row has no stage")
    for column, words in VOCABULARIES.items():
        wrong = rows[~rows[column].isin(words)]
        problems += [
            f"{column} of {stage!r} is {word!r}; expected one of {', '.join(words)}"
            for stage, word in zip(wrong["stage"], wrong[column].fillna(""), strict=True)
        ]
    return problems
