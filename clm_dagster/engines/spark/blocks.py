"""Scores on Spark: the pure functions that score a data frame of pandas, over blocks of customers.

Belongs here: splitting customers into blocks, and running a function on each. Does not: any function that scores.

What a score needs of all customers, such as the level that they are scaled to, is computed before and given to the
function, so a block is scored like the whole: `score_in_blocks` and the function itself give the same rows. A worker of
Spark holds one block in memory.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from clm_dagster.errors import UserError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Scores some customers; the columns of its result are those of the schema.
Score = Callable[[pd.DataFrame], pd.DataFrame]

_BLOCK = "clm_block"
_KEY = "customer_id"


class BlockError(UserError, ValueError):
    """Customers cannot be scored in blocks. The message says what is missing."""


def score_in_blocks(
    customers: "DataFrame", score: Score, schema: str, blocks: int, key: str = _KEY
) -> "DataFrame":
    """Return the scores of all customers, computed in blocks by the hash of their key.

    customers: one row for each. score: gets the rows of a block in the order of the key; an empty block is not scored.
    schema: the columns of the result, in Spark's notation. blocks: so many that a worker can hold one.

    Raise BlockError without the key, or for less than one block.
    """
    if key not in customers.columns:
        raise BlockError(f"customers have no column {key!r}; they have {', '.join(customers.columns)}")
    if blocks < 1:
        raise BlockError(f"expected at least one block, got {blocks}")
    from pyspark.sql import functions

    block = functions.pmod(functions.xxhash64(key), functions.lit(blocks))
    numbered = customers.withColumn(_BLOCK, block).repartition(blocks, _BLOCK)
    # A task may hold several blocks, one after the other.
    ordered = numbered.sortWithinPartitions(_BLOCK, key)
    return ordered.mapInPandas(_by_block(score), schema)


def _by_block(score: Score) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    """Return a function that scores the blocks of a task, which come in batches of rows and in order."""

    def scored(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for rows in _whole_blocks(batches):
            yield score(_like_duckdb(rows.drop(columns=_BLOCK)))

    return scored


def _whole_blocks(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    held: list[pd.DataFrame] = []
    for batch in batches:
        for number, rows in batch.groupby(_BLOCK, sort=False):
            if held and held[0][_BLOCK].iloc[0] != number:
                yield pd.concat(held, ignore_index=True)
                held = []
            held.append(rows)
    if held:
        yield pd.concat(held, ignore_index=True)


def _like_duckdb(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the types that DuckDB gives a data frame: the functions are written for these.

    Decimals and dates come as objects, instants in microseconds of a day or of nanoseconds.
    """
    found = {}
    for name in rows.columns:
        values = rows[name]
        if values.dtype == object:
            known = values.dropna()
            first = known.iloc[0] if len(known) else None
            if hasattr(first, "as_tuple"):
                values = values.astype(float)
            elif hasattr(first, "toordinal") and not isinstance(first, datetime):
                values = pd.to_datetime(values).astype("datetime64[us]")
        elif values.dtype.kind == "M":
            values = values.astype("datetime64[us]")
        found[name] = values
    return pd.DataFrame(found)


def in_order(scores: pd.DataFrame, keys: Sequence[str] = (_KEY,)) -> pd.DataFrame:
    """Return collected scores in the order of their keys, with a plain index."""
    return scores.sort_values(list(keys), ignore_index=True)
