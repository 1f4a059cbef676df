"""A shop with trained models and scores is verified as a whole."""

import pytest

from clm_dagster.engines.comparing import CLOSE, EQUAL
from clm_dagster.engines.registry import engine_named
from clm_dagster.engines.verifying import verify
from clm_dagster_tests.shops import quiet
from clm_dagster_tests.trained_shop import Ran


@pytest.mark.slow
def test_all_models_over_scores_are_equal(ran: Ran) -> None:
    found = verify(ran.settings, engine_named("duckdb", ran.settings), quiet)
    assert [model.relation for model in found.red] == []
    verdicts = {model.relation: model.verdict for model in found.models}
    # Averages of doubles depend on the order of rows; nothing else does.
    assert {
        name for name, verdict in verdicts.items() if verdict != EQUAL and not name.startswith("marts.")
    } == set()
    assert set(verdicts.values()) <= {EQUAL, CLOSE}
    assert all(model.rows for model in found.models if model.relation == "marts.customer_profiles")
