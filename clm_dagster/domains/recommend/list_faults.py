"""The faults of lists that checks report, recomputed from the purchases.

Belongs here: counting faults. Does not: the wording and results of checks (`checks`).
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.recommend.checks import ListFaults
from clm_dagster.domains.recommend.interactions import Interactions
from clm_dagster.domains.recommend.metrics import stored


def count_faults(
    lists: pd.DataFrame, past: Interactions, active: NDArray[np.bool_], known: NDArray[np.bool_]
) -> ListFaults:
    """Count the faults in the lists of some customers.

    lists: columns of `all_customer_lists`. active: which products were sold recently. known: which of past.customers
    are in the snapshot; buyers outside it have lists as well.
    """
    # Look up each id once: among a million ids, a lookup costs more than counting.
    person, people = pd.factorize(lists["customer_id"])
    product, products = pd.factorize(lists["product_id"])
    row, column = past.rows_of(people.to_numpy(object)), past.columns_of(products.to_numpy(object))[product]
    new = (lists["list"] == "discover").to_numpy()
    has = np.bincount(2 * person + new, minlength=2 * len(people)).reshape(-1, 2) > 0
    entries = (2 * person + new) * len(products) + product
    bought = past.of(row[row >= 0]).latest()
    discover_of_buyers = new & (row[person] >= 0)
    return ListFaults(
        customers=len(people),
        with_both_lists=int((has.all(axis=1) & np.append(known, True)[row]).sum()),
        discontinued=int((~active[column] | (column < 0)).sum()),
        duplicates=len(entries) - len(np.unique(entries)),
        already_bought=int(
            stored(
                bought, (np.cumsum(row >= 0) - 1)[person[discover_of_buyers]], column[discover_of_buyers]
            ).sum()
        ),
    )
