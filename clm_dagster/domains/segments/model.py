"""Validation of the map of RFM segments.

Belongs here: pure functions, frames in and sentences out. Does not belong here: the check itself (`checks`).
"""

from itertools import product

import pandas as pd

SCORES = (1, 2, 3, 4, 5)
# The segment of all customers of a snapshot in which all tie; it is no cell of the map.
UNDETERMINED = "undetermined"


def segment_map_problems(cells: pd.DataFrame, names: pd.Series) -> list[str]:
    """Return a sentence for each problem of a map from (r_score, f_score) to segment; none if it is valid.

    A valid map lists each of the 25 cells exactly once, uses only segments in `names`, and uses all of them but
    `undetermined`.
    """
    problems = []
    complete = cells.dropna(subset=["r_score", "f_score"])
    if len(complete) < len(cells):
        problems.append("a row has no r_score or no f_score")
    counts = complete.astype({"r_score": int, "f_score": int}).value_counts(["r_score", "f_score"])
    times = dict(zip(counts.index.to_list(), counts.to_list(), strict=True))
    expected = set(product(SCORES, SCORES))
    for r, f in sorted(expected - set(times)):
        problems.append(f"no segment for r_score {r}, f_score {f}")
    for (r, f), count in sorted(times.items()):
        if (r, f) not in expected:
            problems.append(f"r_score {r}, f_score {f} is not a cell: scores are 1 to 5")
        elif count > 1:
            problems.append(f"r_score {r}, f_score {f} appears {count} times")
    used, known = set(cells["segment"].dropna()), set(names.dropna()) - {UNDETERMINED}
    if cells["segment"].isna().any():
        problems.append("a cell has an empty segment")
    problems += [f"{name!r} is not in rfm_segment_names.csv" for name in sorted(used - known)]
    problems += [f"{name!r} is in rfm_segment_names.csv but not in any cell" for name in sorted(known - used)]
    return problems
