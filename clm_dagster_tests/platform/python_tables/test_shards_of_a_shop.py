"""Every table of scores of a shop in shards, in one step and in several: the rows of one piece."""

import pandas as pd
import pytest

from clm_dagster.platform.job_names import SCORES
from clm_dagster.platform.partitions import key_of_as_of
from clm_dagster_tests.trained_shop import Ran

pytestmark = pytest.mark.slow

# In the order of computation: each reads what stands before it.
TABLES = (
    "marts.customer_value",
    "marts.value_expectations",
    "marts.churn_scores",
    "marts.personas",
    "marts.persona_profiles",
    "marts.next_best_actions",
)


@pytest.mark.parametrize("table", TABLES)
def test_rows_do_not_depend_on_shards(ran: Ran, table: str) -> None:
    as_of = ran.query("select max(as_of) as newest from marts.churn_scores").newest[0]
    key = key_of_as_of(as_of)
    stored = f"select * from {table} where as_of = timestamp '{as_of}' order by all"
    found = []
    for settings in (
        {"shard_customers": 0},
        {"shard_customers": 137},
        {"shard_customers": 400, "shards_as_steps": True},
    ):
        assert ran.materialize(SCORES, key, table, **settings).success
        found.append(ran.query(stored))
    whole, in_one_step, in_steps = found
    assert len(whole) > (1_000 if table not in ("marts.value_expectations", "marts.persona_profiles") else 0)
    pd.testing.assert_frame_equal(whole, in_one_step, check_exact=True)
    pd.testing.assert_frame_equal(whole, in_steps, check_exact=True)
