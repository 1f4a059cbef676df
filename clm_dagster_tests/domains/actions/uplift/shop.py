"""A shop whose campaigns have random arms and planted effects, run with models, scores and a plan.

Belongs here: its events and contacts, and its run. Does not: tests.
"""

import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from clm_dagster.settings import PROJECT_DIR, Settings, load_settings
from clm_dagster.shop_run import run_shop
from clm_dagster_tests.shops import quiet
from clm_dagster_tests.trained_shop import Ran, at_home

START, END = date(2024, 1, 1), date(2024, 8, 26)
CUSTOMERS = 1_500
# Days of contacts, each of whose windows of 30 days is over before the next.
CAMPAIGNS = (35, 70, 105, 140, 175, 205)
ARMS = ("control", "discount", "news")
# A line whose effect is that of the arm, one whose arm has no effect, and one that names none.
LINES = """offer_discount,win_back_coupon,,,,,,,,,,email,0.01,0,0.001,20,discount,,
tell_news,cross_sell,,,,,,,,,,email,0.01,0,0.005,20,news,,
remind_all,reminder,,,,,,,,,,email,0.01,0,0.004,20,,,
"""


def events_and_touches(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return purchases and visits, and contacts.

    Half of the customers browse each month and order often; a discount keeps them from ordering. It brings orders of
    the others. News changes nothing.
    """
    rng = np.random.default_rng(seed)
    ids = np.array([f"c{number:04d}" for number in range(CUSTOMERS)])
    browses = np.arange(CUSTOMERS) % 2 == 0
    orders, visits, touches = [_rows(ids, rng.integers(0, 30, CUSTOMERS))], [], []
    for month in range(0, (END - START).days - 7, 14):
        visits.append(_rows(ids[browses], month + rng.integers(0, 7, int(browses.sum()))))
    for number, day in enumerate(CAMPAIGNS):
        arm = rng.integers(0, len(ARMS), CUSTOMERS)
        touches.append(
            _rows(ids, np.full(CUSTOMERS, day)).assign(arm=np.array(ARMS)[arm], campaign_id=f"mail-{number}")
        )
        probability = np.where(browses, 0.5, 0.1) + np.where(browses, -0.2, 0.3) * (arm == 1)
        buys = rng.random(CUSTOMERS) < probability
        orders.append(_rows(ids[buys], day + rng.integers(1, 29, int(buys.sum()))))
    bought, seen, sent = (pd.concat(parts, ignore_index=True) for parts in (orders, visits, touches))
    bought = bought.assign(
        event_type="purchase",
        order_id=[f"o{number}" for number in range(len(bought))],
        product_id=[f"p{number % 7}" for number in range(len(bought))],
        quantity=1,
        unit_price=np.where(np.arange(len(bought)) % 2, "20.00", "24.00"),
        currency="EUR",
    )
    events = pd.concat([bought, seen.assign(event_type="visit")], ignore_index=True)
    events = events.rename(columns={"at": "event_at"}).assign(
        event_id=[f"e{number}" for number in range(len(events))]
    )
    sent = sent.rename(columns={"at": "sent_at"}).assign(
        touch_id=[f"t{number}" for number in range(len(sent))], channel="email", cost=0.05
    )
    return events, sent


def _rows(ids: np.ndarray, days: np.ndarray) -> pd.DataFrame:
    at = pd.Timestamp(START) + pd.to_timedelta(days * 24 + 10, unit="h")
    return pd.DataFrame({"customer_id": ids, "at": at.astype(str)})


def shop_settings(folder: Path) -> Settings:
    """Write the shop, with a playbook of its own, and return its settings."""
    inbox, sql = folder / "inbox", folder / "sql"
    inbox.mkdir(parents=True)
    events, touches = events_and_touches()
    events.to_csv(inbox / "events.csv", index=False)
    touches.to_csv(inbox / "touches.csv", index=False)
    shutil.copytree(PROJECT_DIR / "dbt_like_sql", sql)
    playbook = sql / "seeds" / "playbook.csv"
    playbook.write_text(playbook.read_text().splitlines()[0] + "\n" + LINES)
    return load_settings(
        source="generic",
        input=str(inbox),
        data_dir=folder / "data",
        sql_dir=sql,
        start_date=str(START),
        end_date=str(END),
        churn_horizon_days=30,
        value_horizon_days=30,
        recommend_horizon_days=30,
        contest_snapshots=2,
        train_count=1,
        train_every_weeks=1,
        score_count=1,
        graded_horizons=0,
        demand_products=3,
        actions_consent="assumed",
    )


def run_planted(folder: Path) -> Ran:
    """Run the shop."""
    settings = shop_settings(folder)
    with at_home(settings):
        run_shop(settings, quiet)
    return Ran(settings)


def newest_contact_day() -> date:
    """Return the day of the last campaign whose window is over at the end."""
    return max(START + timedelta(days=day) for day in CAMPAIGNS if START + timedelta(days=day + 30) <= END)
