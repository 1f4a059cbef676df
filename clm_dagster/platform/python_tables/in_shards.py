"""Computations that hold the rows of one shard of the customers at a time.

Belongs here: the two passes over the shards, and their order in one step. Does not: shards (`shards`), the steps of a
run that computes them side by side (`shard_steps`), the computations (the domains).

The first pass measures each shard. What depends on all customers (a quantile, a rank, a budget) is then computed from
these measures, which are a few numbers for each customer. The second pass makes the rows. So the rows do not depend on
the number of shards.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import pandas as pd

from clm_dagster.platform.python_tables.output import Rows, TableOutput
from clm_dagster.platform.python_tables.parquet_buffer import ParquetBuffer

Part = TypeVar("Part")
Whole = TypeVar("Whole")
Facts = TypeVar("Facts")


class InShards(ABC, Generic[Part, Whole, Facts]):
    """A computation of one snapshot in two passes over its shards.

    Part: what the whole needs of a shard. Whole: what the rows of each shard need of all customers. Facts: what
    metadata and checks need of the rows of a shard. All three can be pickled, because each call may be a step of its
    own.
    """

    @property
    @abstractmethod
    def shards(self) -> int:
        """The number of shards, at least 1."""

    @abstractmethod
    def measure(self, shard: int) -> Part:
        """Return what the whole needs of a shard."""

    @abstractmethod
    def combine(self, parts: Sequence[Part]) -> Whole:
        """Return what the rows need of all customers. parts: of all shards, in order."""

    @abstractmethod
    def rows(self, whole: Whole, shard: int) -> tuple[pd.DataFrame, Facts]:
        """Return the rows of a shard, and facts of them."""

    @abstractmethod
    def output(self, whole: Whole, rows: Rows, facts: Sequence[Facts]) -> TableOutput:
        """Return the output of the snapshot. rows: of all shards, in order. facts: of all shards, in order."""


AnyInShards = InShards[Any, Any, Any]
# What a computation returns: its output, or what computes it shard by shard.
Computed = TableOutput | AnyInShards


class Followed(InShards[Any, Any, Any]):
    """A computation in shards whose output a function completes."""

    def __init__(self, inner: AnyInShards, complete: Callable[[TableOutput], TableOutput]) -> None:
        self._inner, self._complete = inner, complete

    @property
    def shards(self) -> int:
        """The number of shards."""
        return self._inner.shards

    def measure(self, shard: int) -> Any:
        """Measure a shard."""
        return self._inner.measure(shard)

    def combine(self, parts: Sequence[Any]) -> Any:
        """Combine the measures."""
        return self._inner.combine(parts)

    def rows(self, whole: Any, shard: int) -> tuple[pd.DataFrame, Any]:
        """Return the rows of a shard."""
        return self._inner.rows(whole, shard)

    def output(self, whole: Any, rows: Rows, facts: Sequence[Any]) -> TableOutput:
        """Return the completed output."""
        return self._complete(self._inner.output(whole, rows, facts))


def followed(computed: Computed, complete: Callable[[TableOutput], TableOutput]) -> Computed:
    """Return a computation whose output a function completes."""
    return complete(computed) if isinstance(computed, TableOutput) else Followed(computed, complete)


def in_one_step(
    computed: Computed,
    buffer: Callable[[], ParquetBuffer] | None = None,
    log: Callable[[str], None] = lambda message: None,
) -> TableOutput:
    """Return the output, computed one shard after the other.

    buffer: creates the buffer for the rows of several shards. log: reports progress if there are several.
    """
    if isinstance(computed, TableOutput):
        return computed
    shards = computed.shards
    parts = []
    for shard in range(shards):
        parts.append(computed.measure(shard))
        if shards > 1:
            log(f"measured shard {shard + 1} of {shards}")
    whole = computed.combine(parts)
    del parts
    if shards == 1:
        frame, fact = computed.rows(whole, 0)
        return computed.output(whole, frame, [fact])
    if buffer is None:
        raise ValueError(f"a buffer is needed for the rows of {shards} shards")
    rows, facts = buffer(), []
    for shard in range(shards):
        frame, fact = computed.rows(whole, shard)
        rows.add(frame)
        facts.append(fact)
        log(f"computed shard {shard + 1} of {shards}")
    return computed.output(whole, rows, facts)


def total_counts(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Return counts by name added up over shards, the largest first."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
