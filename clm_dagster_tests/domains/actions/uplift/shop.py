"""A simulated shop whose campaigns have random arms and strong effects, run with models, scores and a plan.

Belongs here: the shop. Does not: tests.
"""

import shutil
from datetime import timedelta
from pathlib import Path

from clm_dagster.settings import PROJECT_DIR, Settings, load_settings
from clm_dagster.shop_run import run_shop
from clm_dagster.simulate.parameters import Parameters
from clm_dagster.simulate.shop import simulate
from clm_dagster_tests.shops import quiet
from clm_dagster_tests.trained_shop import Ran, at_home

# Every contact's window is over before the next campaign, and that of the last one at the end.
PARAMETERS = Parameters(
    customers=6_000,
    days=301,
    products=60,
    seed=3,
    campaign_every=35,
    effect_days=25,
    effect_positive=1.6,
    effect_negative=-1.6,
    dirty_every=1_000,
)
# A line whose effect is that of the arm, and one that names none.
LINES = """offer_discount,win_back_coupon,,,,,,,,,,email,0.01,0,0.001,20,discount,,
remind_all,reminder,,,,,,,,,,email,0.01,0,0.0005,20,,,
"""


def shop_settings(folder: Path) -> Settings:
    """Simulate the shop, with a playbook of its own, and return its settings."""
    simulated = simulate(PARAMETERS, folder / "shop")
    sql = folder / "sql"
    shutil.copytree(PROJECT_DIR / "dbt_like_sql", sql)
    playbook = sql / "seeds" / "playbook.csv"
    playbook.write_text(playbook.read_text().splitlines()[0] + "\n" + LINES)
    return load_settings(
        source="generic",
        input=str(simulated.out / "inbox"),
        data_dir=folder / "data",
        sql_dir=sql,
        start_date=str(PARAMETERS.start),
        end_date=str(PARAMETERS.start + timedelta(days=PARAMETERS.days)),
        churn_horizon_days=30,
        value_horizon_days=30,
        recommend_horizon_days=30,
        contest_snapshots=2,
        train_count=1,
        train_every_weeks=1,
        score_count=1,
        graded_horizons=0,
        demand_products=3,
    )


def run_simulated(folder: Path) -> Ran:
    """Run the shop."""
    settings = shop_settings(folder)
    with at_home(settings):
        run_shop(settings, quiet)
    return Ran(settings)
