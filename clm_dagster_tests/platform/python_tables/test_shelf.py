"""A shelf gives back what was put there, from memory and from files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clm_dagster.platform.python_tables.shelf import Shelf


def frame(start: float) -> pd.DataFrame:
    return pd.DataFrame(
        {"customer_id": ["a", "b", "c"], "x": [start, np.nan, np.inf], "word": ["it's", None, ""]},
        index=[5, 6, 7],
    )


@pytest.mark.parametrize("is_file", [False, True])
def test_frames_and_columns_come_back_in_order(tmp_path: Path, is_file: bool) -> None:
    shelf = Shelf(tmp_path / "a [1] it's *" if is_file else None)
    shelf.put("one", 1, frame(1.1))
    shelf.put("one", 0, frame(9.0))
    shelf.put("one", 0, frame(0.1))
    for shard, start in ((0, 0.1), (1, 1.1)):
        expected = frame(start).reset_index(drop=True)
        pd.testing.assert_frame_equal(shelf.get("one", shard), expected, check_dtype=False, check_exact=True)
    column = shelf.column("one", "x", 2)
    assert np.array_equal(column, [0.1, np.nan, np.inf, 1.1, np.nan, np.inf], equal_nan=True)


def test_a_file_that_was_not_finished_is_not_read(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.put("one", 0, frame(1.0))
    (tmp_path / "one-00000.new").write_bytes(b"half")
    assert Shelf(tmp_path).get("one", 0)["x"][0] == 1.0
    shelf.put("one", 0, frame(2.0))
    assert shelf.get("one", 0)["x"][0] == 2.0
