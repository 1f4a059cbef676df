"""A computation in shards: measured, combined, then computed, one shard at a time and in order."""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from clm_dagster.platform.python_tables.in_shards import InShards, followed, in_one_step, total_counts
from clm_dagster.platform.python_tables.output import Rows, TableOutput
from clm_dagster.platform.python_tables.parquet_buffer import ParquetBuffer

TYPES = {"customer_id": "varchar", "share": "double"}


class Shares(InShards[float, float, int]):
    """The share of each amount in the sum of all shards."""

    def __init__(self, *amounts: dict[str, float]) -> None:
        self.amounts, self.calls = amounts, list[str]()

    @property
    def shards(self) -> int:
        return len(self.amounts)

    def measure(self, shard: int) -> float:
        self.calls.append(f"measure {shard}")
        return sum(self.amounts[shard].values())

    def combine(self, parts: Sequence[float]) -> float:
        self.calls.append("combine")
        return sum(parts)

    def rows(self, whole: float, shard: int) -> tuple[pd.DataFrame, int]:
        self.calls.append(f"rows {shard}")
        amounts = self.amounts[shard]
        shares = [amount / whole for amount in amounts.values()]
        return pd.DataFrame({"customer_id": list(amounts), "share": shares}), len(amounts)

    def output(self, whole: float, rows: Rows, facts: Sequence[int]) -> TableOutput:
        return TableOutput(rows, {"customers": list(facts), "total": whole})


def test_several_shards_are_passed_twice_and_buffered(tmp_path: Path) -> None:
    shares = Shares({"a": 1.0, "b": 2.0}, {}, {"c": 1.0})
    messages: list[str] = []
    output = in_one_step(shares, lambda: ParquetBuffer(TYPES, tmp_path), messages.append)
    assert shares.calls == [*(f"measure {n}" for n in range(3)), "combine", *(f"rows {n}" for n in range(3))]
    assert output.metadata == {"customers": [2, 0, 1], "total": 4.0}
    assert isinstance(output.rows, ParquetBuffer) and len(output.rows) == 3
    assert duckdb.connect().sql(output.rows.query).fetchall() == [("a", 0.25), ("b", 0.5), ("c", 0.25)]
    assert messages[0] == "measured shard 1 of 3" and messages[-1] == "computed shard 3 of 3"


def test_a_single_shard_stays_in_memory_and_says_nothing() -> None:
    messages: list[str] = []
    output = in_one_step(Shares({"a": 1.0}), log=messages.append)
    assert isinstance(output.rows, pd.DataFrame) and not messages
    with pytest.raises(ValueError, match="a buffer is needed for the rows of 2 shards"):
        in_one_step(Shares({"a": 1.0}, {"b": 1.0}))


def test_an_output_is_completed_whether_it_is_in_shards_or_not() -> None:
    def complete(output: TableOutput) -> TableOutput:
        return TableOutput(output.rows, {**output.metadata, "complete": True})

    plain = TableOutput(pd.DataFrame(), {"n": 1})
    assert in_one_step(followed(plain, complete)).metadata == {"n": 1, "complete": True}
    found = in_one_step(followed(Shares({"a": 1.0}), complete))
    assert found.metadata == {"customers": [1], "total": 1.0, "complete": True}


def test_counts_are_added_up_the_largest_first() -> None:
    assert list(total_counts([{"low": 1, "high": 5}, {"low": 3}, {"mid": 5}]).items()) == [
        ("high", 5),
        ("mid", 5),
        ("low", 4),
    ]
