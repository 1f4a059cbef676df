"""An up-to-date shop with two weeks of data, for tests of staleness and planning.

Belongs here: the shop, a copy of it to change, and edits of its SQL. Does not: what a test expects.
"""

import shutil
from pathlib import Path

from clm_dagster.settings import PROJECT_DIR, Settings
from clm_dagster_tests.shops import run_at, small_shop_events, write_shop


def run_two_weeks(root: Path) -> Settings:
    """Run the shop in a folder and return its settings."""
    settings = write_shop(root, small_shop_events(customers=12, orders=40, days=14), end_date="2024-01-15")
    run_at(root, settings)
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
