"""SIGKILL while files are landed: the next run completes and equals an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from clm_dagster.settings import PROJECT_DIR
from clm_dagster_tests.domains.ingest.shop import LATER, Shop
from clm_dagster_tests.shops import small_shop_events

LAND = """
import sys
from datetime import datetime
from clm_dagster.platform.resources import load_sql
from clm_dagster.domains.ingest.source import ShopSource
from clm_dagster.settings import load_settings
settings = load_settings(
    source="generic", input=sys.argv[1], data_dir=sys.argv[2], start_date="2024-01-01", end_date="2024-03-01"
)
source = ShopSource.open(settings, load_sql(settings))
print("ready", flush=True)
source.landing.land(settings.input, source.adapter, datetime(2024, 2, 1))
print("done", flush=True)
"""


@pytest.mark.slow
def test_landing_that_is_killed_at_any_moment(make_shop: Callable[..., Shop]) -> None:
    undisturbed = make_shop("undisturbed")
    for number in range(6):
        undisturbed.write(f"events_{number}.csv", small_shop_events(seed=number, orders=4000))
    undisturbed.ingest(LATER)
    chance = random.Random(5)
    outcomes = []
    for attempt in range(8):
        shop = make_shop(f"killed_{attempt}", input=undisturbed.settings.input)
        command = [sys.executable, "-c", LAND, shop.settings.input, str(shop.settings.data_dir)]
        for _ in range(2):  # killed, and killed again where it went on
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT_DIR)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(chance.random() * 0.9)
            os.kill(process.pid, signal.SIGKILL)
            outcomes.append(process.stdout.read())
            process.wait()
        shop.ingest(LATER)
        assert shop.table("raw.events") == undisturbed.table("raw.events")
        assert shop.table("raw.rejects") == undisturbed.table("raw.rejects")
        assert shop.table("raw.deliveries", "landed_at") == undisturbed.table("raw.deliveries", "landed_at")
        parts = {d.tables["events"].part for d in shop.source.landing.deliveries()}
        assert {path.name for path in shop.settings.landing_dir.glob("events/*")} == parts
    assert "" in outcomes  # at least once it was killed before it was done
