"""An up-to-date shop with two weeks of data, for tests of staleness and planning.

Belongs here: the shop, a copy of it to change, and edits of its SQL. Does not: what a test expects.
"""

import shutil
from pathlib import Path

import pytest

from clm_dagster.settings import PROJECT_DIR, Settings, load_settings
from clm_dagster.shop_run import run_shop
from clm_dagster_tests.shops import small_shop_events


def run_two_weeks(root: Path) -> Settings:
    """Run the shop in a folder and return its settings."""
    (root / "inbox").mkdir()
    small_shop_events(customers=12, orders=40, days=14).to_csv(root / "inbox" / "events.csv", index=False)
    settings = load_settings(
        source="generic",
        input=str(root / "inbox"),
        data_dir=root / "data",
        start_date="2024-01-01",
        end_date="2024-01-15",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(root))
        run_shop(settings, lambda title, total: lambda step, done: None)
    return settings


def copy_shop(settings: Settings, root: Path) -> Settings:
    """Copy the shop, its files and the SQL project to a folder, to change them there."""
    shutil.copytree(settings.data_dir, root / "data")
    shutil.copytree(settings.input, root / "inbox")
    shutil.copytree(PROJECT_DIR / "dbt_like_sql", root / "sql")
    return settings.replace(data_dir=root / "data", sql_dir=root / "sql", input=str(root / "inbox"))


def edit(settings: Settings, file: str, old: str, new: str) -> None:
    """Replace a text in a file of the SQL project."""
    path = settings.sql_dir / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
