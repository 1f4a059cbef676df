"""What makes a map of lifecycle stages right. Pure: frames in, sentences out."""

import pandas as pd

STAGES = ("prospect", "new", "growing", "loyal", "reactivated", "at_risk", "lost")
# The vocabularies that teams use, each in its own order; customers of the first ones may not be known yet.
VOCABULARIES = {
    "four_stage": ("acquisition", "growth", "maturity", "churn"),
    "five_stage": ("acquisition", "conversion", "retention", "expansion", "churn"),
    "seven_stage": ("acquire", "attract", "register", "interact", "retain", "promote", "leave"),
}


def stage_map_problems(rows: pd.DataFrame) -> list[str]:
    """Say what is wrong with a map from stage to the three vocabularies; nothing if it is sound.

    A map is sound if each of STAGES stands in it exactly once, nothing else does, and every name
    it gives is a word of its vocabulary.
    """
    times = rows["stage"].value_counts()
    problems = [f"the stage {stage!r} is missing" for stage in STAGES if stage not in times]
    for stage, count in sorted(times.items()):
        if stage not in STAGES:
            problems.append(f"{stage!r} is no stage; the stages are {', '.join(STAGES)}")
        elif count > 1:
            problems.append(f"the stage {stage!r} stands {count} times")
    if rows["stage"].isna().any():
        problems.append("a row has no stage")
    for column, words in VOCABULARIES.items():
        wrong = rows[~rows[column].isin(words)]
        problems += [
            f"{column} of {stage!r} is {word!r}; expected one of {', '.join(words)}"
            for stage, word in zip(wrong["stage"], wrong[column].fillna(""), strict=True)
        ]
    return problems
