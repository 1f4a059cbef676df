"""Assignment of customers to arms by a keyed hash.

Belongs here: the number of a customer in an experiment, the arms that follow from it, and the same number as SQL. Does
not: who is eligible, and storing assignments.

The number depends on nothing but key, experiment and customer id. So it is the same on every day and every machine,
independent between experiments and of the global holdout, which is an experiment of its own name. Whoever lacks the key
cannot compute who is held out.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SEPARATOR = "\x1f"
"""Between key, experiment and customer id. Key and experiment may not contain it, so that no two triples collide."""
GLOBAL_HOLDOUT = "global"
"""Experiment of the global holdout."""
HOLDOUT_SHARE = 0.1
# 13 hexadecimal digits are 52 bits: every number is an exact float, in Python and in SQL.
_DIGITS = 13
_NUMBERS = 16**_DIGITS


def hash_numbers(customer_ids: Iterable[str], experiment: str, key: str) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each customer, shape (n,), uniform over keys.

    The first 13 hexadecimal digits of SHA-256 of key, experiment and customer id in UTF-8, over 16^13.
    customer_ids: texts, such as a column of a frame. `number_sql` gives the same numbers.

    Raises:
        ValueError: an empty key or experiment, one with the separator, or a customer id that is no text.

    Examples:
        >>> hash_numbers(["c1", "c2"], "win_back", key="secret").round(4).tolist()
        [0.7498, 0.3979]
    """
    prefix = hashlib.sha256(
        f"{_part(key, 'key')}{SEPARATOR}{_part(experiment, 'experiment')}{SEPARATOR}".encode()
    )
    found = []
    for at, customer in enumerate(customer_ids):
        if not isinstance(customer, str):
            raise ValueError(f"customer ids are texts, got a {type(customer).__name__} in row {at}")
        digest = prefix.copy()
        digest.update(customer.encode())
        found.append(digest.digest()[:8])
    # The first 13 of the 16 digits that 8 bytes are.
    numbers = np.frombuffer(b"".join(found), dtype=">u8") >> np.uint64(64 - 4 * _DIGITS)
    return np.asarray(numbers / _NUMBERS, dtype=np.float64)


def is_held_out(
    customer_ids: Iterable[str], experiment: str, key: str, share: float = HOLDOUT_SHARE
) -> NDArray[np.bool_]:
    """Return for each customer whether they are held out, shape (n,).

    A larger share keeps everyone who was held out before, and a smaller one adds nobody.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share between 0 and 1 is expected, got {share}")
    return hash_numbers(customer_ids, experiment, key) < share


def arms(
    customer_ids: Iterable[str], experiment: str, key: str, shares: Mapping[str, float]
) -> NDArray[np.object_]:
    """Return the arm of each customer, shape (n,). shares: arm -> share of the customers; they add up to 1.

    Arms are consecutive intervals of [0, 1), in the order of `shares`.

    Raises:
        ValueError: shares that are negative or do not add up to 1.

    Examples:
        >>> arms(["c1", "c2"], "win_back", "secret", {"control": 0.5, "coupon": 0.5}).tolist()
        ['coupon', 'control']
    """
    if not np.isclose(sum(shares.values()), 1, atol=1e-9) or min(shares.values()) < 0:
        raise ValueError(f"shares of arms add up to 1, got {dict(shares)}")
    ends = np.cumsum(list(shares.values()))[:-1]
    names = np.array(list(shares), dtype=object)
    return np.asarray(names[np.searchsorted(ends, hash_numbers(customer_ids, experiment, key), side="right")])


def number_sql(customer_id: str, experiment: str, key: str) -> str:
    """Return a DuckDB expression with the number of `hash_numbers`.

    The arguments are SQL expressions: a column, a literal (`text_sql`), or a parameter, so that the key need not be in
    the SQL. As there, key and experiment must not be empty or contain the separator. A customer id that is null gives
    null. Compare with `<` and a share, as in `is_held_out`.

    Examples:
        >>> number_sql("customer_id", text_sql("win_back"), "$key")[:48]
        "cast('0x' || substr(sha256(concat_ws(chr(31), $k"
    """
    # concat_ws skips a null: the id is concatenated, so that its null makes the number null.
    hashed = f"sha256(concat_ws(chr({ord(SEPARATOR)}), {key}, {experiment}, '') || {customer_id})"
    return f"cast('0x' || substr({hashed}, 1, {_DIGITS}) as bigint) / cast({_NUMBERS} as double)"


def text_sql(text: str) -> str:
    """Return a SQL literal of a text."""
    quoted = text.replace("'", "''")
    return f"'{quoted}'"


def balance(held_out: NDArray[np.bool_], strata: pd.DataFrame) -> pd.DataFrame:
    """Return how many customers of each stratum are held out.

    held_out: shape (n,). strata: n rows, one column for each division, such as segment or country; missing values
    are a stratum of their own. Returns a row for each column and stratum: column, stratum, customers, held_out, share,
    and deviations, the difference from the share of all customers in standard deviations of a random assignment. With
    many strata, a few are above 2 by chance.

    Examples:
        >>> some = pd.DataFrame({"country": ["NL", "NL", "DE", "DE"]})
        >>> balance(np.array([True, False, False, False]), some)["held_out"].tolist()
        [0, 1]
    """
    return balance_of([strata_counts(held_out, strata)])


def strata_counts(held_out: NDArray[np.bool_], strata: pd.DataFrame) -> pd.DataFrame:
    """Return how many customers each stratum has: column, stratum, customers, held_out. Arguments as in `balance`."""
    parts = []
    for name in strata.columns:
        values = strata[name].astype(object).where(strata[name].notna(), "(missing)").astype(str)
        rows = pd.DataFrame({"stratum": values.to_numpy(), "held_out": held_out})
        found = (
            rows.groupby("stratum", sort=True)["held_out"].agg(customers="size", held_out="sum").reset_index()
        )
        found.insert(0, "column", str(name))
        parts.append(found)
    return pd.concat(parts, ignore_index=True)


def balance_of(counts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the table of `balance` for the customers of several results of `strata_counts` together."""
    every = pd.concat(list(counts), ignore_index=True)
    names = {name: place for place, name in enumerate(every["column"].unique())}
    added = every.groupby(["column", "stratum"], sort=True)[["customers", "held_out"]].sum().reset_index()
    table = added.sort_values(
        "column", key=lambda column: column.map(names), kind="stable", ignore_index=True
    )
    once = table[table["column"] == next(iter(names))]
    everyone = int(once["customers"].sum())
    overall = int(once["held_out"].sum()) / everyone
    table["share"] = table["held_out"] / table["customers"]
    # Variance of a hypergeometric count: the number of all held-out customers is given.
    others = (everyone - table["customers"]) / max(everyone - 1, 1)
    spread = (table["customers"] * overall * (1 - overall) * others) ** 0.5
    difference = table["held_out"] - table["customers"] * overall
    table["deviations"] = (difference / spread.where(spread > 0)).fillna(0.0)
    return table


def _part(text: str, what: str) -> str:
    if not text or SEPARATOR in text:
        raise ValueError(f"{what}: a text without the separator {SEPARATOR!r} is expected")
    return text
