"""Validation of the risk bands.

Belongs here: pure functions, frames in and sentences out. Does not belong here: the check itself (`grading`).
"""

import pandas as pd


def risk_band_problems(rows: pd.DataFrame) -> list[str]:
    """Return a sentence for each problem; none if every probability from 0 to 1 has exactly one band.

    rows: risk_band, from_probability. The lowest band must begin at 0, every band below 1, and no two bands at the same
    probability.
    """
    starts = rows["from_probability"]
    problems = []
    if starts.isna().any() or rows["risk_band"].isna().any():
        problems.append("a row lacks its risk_band or its from_probability")
    known = starts.dropna()
    if known.empty or known.min() != 0:
        problems.append(f"the lowest band begins at {known.min() if len(known) else 'nothing'}, expected 0")
    outside = rows[(starts < 0) | (starts >= 1)]
    problems += [
        f"the band {name!r} begins at {start:g}, expected 0 or more and less than 1"
        for name, start in zip(outside["risk_band"], outside["from_probability"], strict=True)
    ]
    problems += [f"two bands begin at {value:g}" for value in sorted(known[known.duplicated()].unique())]
    names = rows["risk_band"].dropna()
    problems += [
        f"the band {name!r} appears more than once" for name in sorted(names[names.duplicated()].unique())
    ]
    return problems
