"""What makes a table of risk bands right. Pure: frames in, sentences out."""

import pandas as pd


def risk_band_problems(rows: pd.DataFrame) -> list[str]:
    """Say what is wrong with risk bands; nothing if every probability from 0 to 1 has exactly one.

    rows: risk_band, from_probability. The lowest begins at 0, none begins at 1 or beyond, no two at one place.
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
    twice = rows["risk_band"].dropna()
    problems += [f"the band {name!r} stands twice" for name in sorted(twice[twice.duplicated()].unique())]
    return problems
