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
    seen = cells.groupby(["r_score", "f_score"]).size()
    wanted = set(product(SCORES, SCORES))
    for r, f in sorted(wanted - set(seen.index)):
        problems.append(f"no segment for r_score {r}, f_score {f}")
    for (r, f), times in zip(seen.index.to_list(), seen.to_list(), strict=True):
        if (r, f) not in wanted:
            problems.append(f"r_score {r}, f_score {f} is no cell: scores are 1 to 5")
        elif times > 1:
            problems.append(f"r_score {r}, f_score {f} is named {times} times")
    used, known = set(cells["segment"].dropna()), set(names)
    if cells["segment"].isna().any():
        problems.append("a cell has an empty segment")
    problems += [f"{name!r} is not in rfm_segment_names.csv" for name in sorted(used - known)]
    problems += [f"{name!r} is in rfm_segment_names.csv and in no cell" for name in sorted(known - used)]
    return problems
