"""What makes a map of RFM segments right. Pure: frames in, sentences out."""

from itertools import product

import pandas as pd

SCORES = (1, 2, 3, 4, 5)


def segment_map_problems(cells: pd.DataFrame, names: pd.Series) -> list[str]:
    """Say what is wrong with a map from (r_score, f_score) to segment; nothing if it is sound.

    A map is sound if each of the 25 cells is named exactly once, every name it uses is one of
    `names`, and every name is reachable, that is, stands in some cell.
    """
    problems = []
    whole = cells.dropna(subset=["r_score", "f_score"])
    if len(whole) < len(cells):
        problems.append("a row has no r_score or no f_score")
    counts = whole.astype({"r_score": int, "f_score": int}).value_counts(["r_score", "f_score"])
    times = dict(zip(counts.index.to_list(), counts.to_list(), strict=True))
    wanted = set(product(SCORES, SCORES))
    for r, f in sorted(wanted - set(times)):
        problems.append(f"no segment for r_score {r}, f_score {f}")
    for (r, f), count in sorted(times.items()):
        if (r, f) not in wanted:
            problems.append(f"r_score {r}, f_score {f} is no cell: scores are 1 to 5")
        elif count > 1:
            problems.append(f"r_score {r}, f_score {f} is named {count} times")
    used, known = set(cells["segment"].dropna()), set(names.dropna())
    if cells["segment"].isna().any():
        problems.append("a cell has an empty segment")
    problems += [f"{name!r} is not in rfm_segment_names.csv" for name in sorted(used - known)]
    problems += [f"{name!r} is in rfm_segment_names.csv and in no cell" for name in sorted(known - used)]
    return problems
