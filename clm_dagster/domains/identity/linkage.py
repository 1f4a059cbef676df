"""Probabilities that two records are one person: the model of Fellegi and Sunter (1969), fitted by splink.

splink is the extra `linkage` and imported late. The parameters are fitted to the records of one snapshot by expectation
maximisation, without labels.

Belongs here: the model. Does not: reading records, and what becomes of the pairs (`proposals`).
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pandas as pd

from clm_dagster.errors import UserError

if TYPE_CHECKING:
    from splink import Linker

ID = "customer_id"
# An address and a device are evidence of one household, and therefore one comparison: a family shares both.
HOUSEHOLD = ("address_hash", "device_id")
PERSONAL = ("name_hash", "phone_hash", "birth_year", "gender", "country")
COMPARED = (*PERSONAL, *HOUSEHOLD)
# Records that agree on all columns of one of these are compared; every other pair is no match. Two of them are needed,
# because a column that all compared pairs share cannot be weighed.
BLOCKS: tuple[tuple[str, ...], ...] = (
    ("name_hash", "birth_year"),
    ("address_hash",),
    ("device_id",),
    ("phone_hash",),
)
# Pairs that agree on this much are nearly always one person; the share of such pairs starts the fit.
CERTAIN: tuple[tuple[str, ...], ...] = (
    ("name_hash", "address_hash"),
    ("name_hash", "device_id"),
    ("address_hash", "device_id", "birth_year"),
    ("phone_hash", "birth_year"),
)
_CERTAIN_RECALL = 0.7
# Fewer pairs do not determine the weights.
MIN_PAIRS = 20
_SAMPLED_PAIRS = 1_000_000
_SEED = 1


class LinkageError(UserError):
    """The extra for proposals is not installed."""


class TooFewPairsError(Exception):
    """The records have too few pairs to fit the model. The message says how many."""


def match_pairs(records: pd.DataFrame, probability: float, threads: int) -> pd.DataFrame:
    """Return the pairs of records that are one person with at least this probability.

    records: one row per ID, the other columns some of COMPARED, None for unknown. The result has the columns
    customer_id, other_customer_id (the later one in the alphabet), match_probability, agreeing, differing, sorted by
    the ids. Raise TooFewPairsError, and LinkageError without splink.
    """
    columns = [name for name in COMPARED if name in records and records[name].nunique() > 1]
    blocks = [block for block in BLOCKS if set(block) <= set(columns)]
    pairs = {block: _count_pairs(records, block) for block in blocks}
    usable = [block for block, count in pairs.items() if count >= MIN_PAIRS]
    certain = [found for found in CERTAIN if set(found) <= set(columns) and _count_pairs(records, found)]
    if len(usable) < 2 or not certain:
        counted = ", ".join(f"{' and '.join(block)}: {count}" for block, count in pairs.items()) or "none"
        raise TooFewPairsError(
            f"two ways to find pairs with {MIN_PAIRS} pairs each are needed; pairs of the same {counted}"
        )
    connection = duckdb.connect(config={"threads": threads} if threads else {})
    try:
        found = _fit(connection, records[[ID, *columns]], columns, usable, certain).inference.predict(
            threshold_match_probability=probability
        )
        matches: pd.DataFrame = found.as_pandas_dataframe()
        return _tidy(matches, columns)
    finally:
        connection.close()


def linkage_version() -> str:
    """Return the version of splink."""
    return version("splink")


def _fit(
    connection: duckdb.DuckDBPyConnection,
    records: pd.DataFrame,
    columns: list[str],
    blocks: list[tuple[str, ...]],
    certain: list[tuple[str, ...]],
) -> "Linker":
    try:
        import splink.comparison_library as comparisons
        from splink import Linker, SettingsCreator, block_on
        from splink.backends.duckdb import DuckDBAPI
    except ImportError as error:
        raise LinkageError(
            "CLM_IDENTITY_PROPOSALS is on and needs the package splink, which is not installed; "
            "run pip install 'clm-dagster[linkage]', or turn the setting off"
        ) from error
    # A rare name counts more where two records agree on it.
    compared: list[Any] = [
        comparisons.ExactMatch(name).configure(term_frequency_adjustments=name == "name_hash")
        for name in columns
        if name in PERSONAL
    ]
    household = [name for name in columns if name in HOUSEHOLD]
    if household:
        compared.append(comparisons.CustomComparison(_household_levels(household), "household"))
    settings = SettingsCreator(
        link_type="dedupe_only",
        additional_columns_to_retain=household,
        unique_id_column_name=ID,
        comparisons=compared,
        blocking_rules_to_generate_predictions=[block_on(*block) for block in blocks],
    )
    linker = Linker(DuckDBAPI(connection).register(records), settings, log_level=40)
    training = linker.training
    training.estimate_probability_two_random_records_match(
        [block_on(*found) for found in certain], recall=_CERTAIN_RECALL
    )
    training.estimate_u_using_random_sampling(max_pairs=_SAMPLED_PAIRS, seed=_SEED)
    for block in blocks:
        training.estimate_parameters_using_expectation_maximisation(
            block_on(*block), record_sample_proportion=1.0
        )
    return linker


def _household_levels(columns: list[str]) -> list[Any]:
    """Return the levels of the comparison of households: nothing known of both, any id the same, all others."""
    known = " or ".join(f"({name}_l is not null and {name}_r is not null)" for name in columns)
    same = " or ".join(f"coalesce({name}_l = {name}_r, false)" for name in columns)
    return [
        {"sql_condition": f"not ({known})", "label_for_charts": "unknown", "is_null_level": True},
        {"sql_condition": same, "label_for_charts": "same household"},
        {"sql_condition": "ELSE", "label_for_charts": "another household"},
    ]


def _count_pairs(records: pd.DataFrame, block: tuple[str, ...]) -> int:
    """Return the number of pairs that agree on all columns of the block."""
    sizes = records.dropna(subset=list(block)).groupby(list(block)).size()
    return int((sizes * (sizes - 1) // 2).sum())


def _tidy(found: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return the pairs with their ids in order, and the columns that agree and differ."""
    left, right = found[f"{ID}_l"], found[f"{ID}_r"]
    in_order = left < right
    agreeing, differing = pd.Series("", index=found.index), pd.Series("", index=found.index)
    for name in columns:
        one, other = found[f"{name}_l"], found[f"{name}_r"]
        known = one.notna() & other.notna()
        agreeing += np.where(known & (one == other), f", {name}", "")
        differing += np.where(known & (one != other), f", {name}", "")
    pairs = pd.DataFrame(
        {
            ID: left.where(in_order, right),
            "other_customer_id": right.where(in_order, left),
            "match_probability": found["match_probability"],
            "agreeing": agreeing.str.removeprefix(", "),
            "differing": differing.str.removeprefix(", "),
        }
    )
    return pairs.sort_values([ID, "other_customer_id"], ignore_index=True)
