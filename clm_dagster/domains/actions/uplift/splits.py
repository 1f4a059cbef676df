"""Which contacts train, and which later ones test.

Belongs here: the split and its smallest sizes. Does not: the sample (`sample`), fits (`contest`).
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.actions.uplift.sample import Comparison, day_of

# Of the contacts, so many are at most in the test.
_TEST_SHARE = 0.4
# The fewest customers and orders of each arm in each part: with fewer, no interval is clear of anything.
MIN_CUSTOMERS, MIN_CONVERSIONS = 200, 20
# Buckets of customers: halves where there is no later campaign, thirds for the choice among candidates.
_BUCKETS, FOLDS = 1000, 3
LATER, CUSTOMERS = "later campaigns", "other customers"


@dataclass(frozen=True)
class Split:
    """The two parts of the contacts of one arm.

    how: `later campaigns`, or `other customers` where no campaign is late enough. tested_from: first contact of the
    test.
    """

    training: Comparison
    test: Comparison
    how: str
    tested_from: date


def split_of(found: Comparison) -> Split | str:
    """Return training and test, or why there are too few contacts.

    The test has the later contacts. The window of a training contact is over before the first of them, so that no order
    counts in both. Where that leaves too few, half of the customers test, with all their contacts.
    """
    problem = _problem(found)
    if problem:
        return problem
    by_time = _by_time(found)
    if by_time is not None:
        return by_time
    half = found.frame["bucket"].to_numpy() < _BUCKETS // 2
    training, test = found.part(half), found.part(~half)
    return _problem(training) or _problem(test) or Split(training, test, CUSTOMERS, _first(test))


def folds(found: Comparison) -> NDArray[np.int64]:
    """Return the fold of each contact, shape (n,). All contacts of a customer are in one fold."""
    # The last digits: the first ones may have chosen the half.
    return np.asarray(found.frame["bucket"].to_numpy() % FOLDS, dtype=np.int64)


def _by_time(found: Comparison) -> Split | None:
    """Return the split with the largest test of at most the share, None if no split has enough contacts."""
    days = pd.to_datetime(found.frame["contacted_on"])
    over = pd.to_datetime(found.frame["matures_on"])
    starts = np.sort(days.unique())
    later = np.array([(days >= start).mean() for start in starts])
    for start in starts[later <= _TEST_SHARE]:
        is_test = (days >= start).to_numpy()
        training, test = found.part((over <= start).to_numpy()), found.part(is_test)
        if not _problem(training) and not _problem(test):
            return Split(training, test, LATER, _first(test))
    return None


def _first(test: Comparison) -> date:
    return day_of(test.frame["contacted_on"].min())


def _problem(part: Comparison) -> str:
    """Return why a part is too small; empty if it is not."""
    for name, rows in (("treated", part.treatment == 1), ("control", part.treatment == 0)):
        customers = part.frame.loc[rows, "customer_id"].nunique()
        conversions = int(part.outcome[rows].sum())
        if customers < MIN_CUSTOMERS or conversions < MIN_CONVERSIONS:
            return (
                f"{part.arm}: {customers} {name} customers with {conversions} conversions in one part of the data; a "
                f"model needs {MIN_CUSTOMERS} with {MIN_CONVERSIONS} in each arm of training and test"
            )
    return ""
