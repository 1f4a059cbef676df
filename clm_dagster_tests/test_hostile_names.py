"""Names and ids with Markdown and HTML, from the shop's file to the metadata that Dagster's UI shows."""

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from clm_dagster.platform.job_names import SCORES
from clm_dagster.shop_run import run_shop
from clm_dagster_tests.platform.test_markdown import PLAIN, parsed
from clm_dagster_tests.shops import quiet, write_shop
from clm_dagster_tests.trained_shop import Ran

CUSTOMER = "[a](javascript:alert(1))"
PRODUCT = "![t](http://127.0.0.1/x) <b>x</b> | y"
EVENTS = pd.DataFrame(
    {
        "event_id": ["e1"],
        "event_at": ["2024-01-05 10:00:00"],
        "event_type": ["purchase"],
        "customer_id": [CUSTOMER],
        "order_id": ["O1"],
        "product_id": ["P1"],
        "quantity": ["1"],
        "unit_price": ["10.00"],
        "description": [PRODUCT],
    }
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    settings = write_shop(tmp_path_factory.mktemp("hostile"), EVENTS, "2024-01-08")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")  # is set by the run, and restored after it
        run_shop(settings, quiet, models=False)
    return Ran(settings)


@pytest.mark.parametrize("asset", ["marts.popular_products", "marts.recommendations"])
def test_names_of_a_file_are_text_in_the_metadata(shop: Ran, asset: str) -> None:
    result = shop.materialize(SCORES, "2024-01-01", asset)
    assert result.success
    texts = [
        value.md_str or ""
        for event in result.get_asset_materialization_events()
        for value in event.materialization.metadata.values()
        if isinstance(value, dg.MarkdownMetadataValue)
    ]
    tokens = [token for text in texts if not text.startswith("```sql") for token in parsed(text)]
    assert texts and {token.type for token in tokens} <= PLAIN
    shown = "".join(token.content for token in tokens if token.type == "text").replace("\u2060", "")
    assert PRODUCT in shown
    assert CUSTOMER not in shown  # ids of customers are not for metadata


def test_the_events_of_the_run_hold_no_live_name_and_no_customer(
    shop: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages, checks and metadata of every step, as Dagster stores them."""
    monkeypatch.setenv("DAGSTER_HOME", str(shop.settings.dagster_home))
    with dg.DagsterInstance.get() as instance:
        entries = [entry for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]
    stored = "\n".join(f"{entry.user_message} {entry.dagster_event}" for entry in entries)
    assert entries and "javascript" not in stored and "![t](" not in stored and "<b>" not in stored


def test_the_file_of_the_test_is_a_shop(shop: Ran) -> None:
    (event,) = shop.query("select customer_id, description from staging.stg_events").itertuples(index=False)
    assert (event.customer_id, event.description) == (CUSTOMER, PRODUCT)
    assert Path(shop.settings.input, "events.csv").is_file()
