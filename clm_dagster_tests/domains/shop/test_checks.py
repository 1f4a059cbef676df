"""Checks of the shop's orders, against a count in pandas."""

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.shop.checks import shared_order_ids
from clm_dagster.platform.warehouse import Connection


@pytest.mark.parametrize("seed", range(8))
def test_shared_order_ids_are_those_of_several_customers(seed: int, connection: Connection) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 60))
    days = pd.DataFrame(
        {
            "order_id": rng.choice([*"abcdefghijklmnop"], size),
            "customer_id": rng.choice(np.array(["c1", "c2", None], dtype=object), size, p=[0.6, 0.1, 0.3]),
            "lines": rng.integers(0, 3, size),
        }
    )
    bought = days[days["lines"] > 0]
    owners = bought.groupby("order_id")["customer_id"].nunique(dropna=False)
    expected = sorted(owners.index[owners > 1])
    connection.execute("create schema if not exists core")
    connection.load_frame("core.order_days", days)
    found = shared_order_ids(connection).problems
    assert bool(found) == bool(expected)
    if expected:
        assert f"{len(expected)} order ids" in found[0]
        assert f"for example {', '.join(expected[:5])})" in found[0]
