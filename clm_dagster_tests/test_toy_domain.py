"""A new domain is one folder and no edit elsewhere: made here in a temporary folder, with its SQL beside it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.job_names import DAILY
from clm_dagster.settings import PROJECT_DIR, Settings, load_settings, origins

SETTINGS = """
'''What a user may choose of loyalty.'''

from pydantic import Field

from clm_dagster.settings import DomainSettings, Variable


class LoyaltySettings(DomainSettings):
    '''Settings of loyalty.'''

    points: Variable[int] = Field(5, ge=1, description="Points that an order brings.")
"""
DEFINITIONS = """
'''What Dagster sees of loyalty.'''

from clm_dagster.domains.loyalty.settings import LoyaltySettings
from clm_dagster.platform.assets.model_assets import Finding
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    '''The chart and the check of the points.'''
    most = shop.settings.of(LoyaltySettings).points

    def chart(connection):
        return f"a picture of {connection.scalar('select points from marts.loyalty_points')} points"

    def check(connection):
        '''Nobody has more points than an order brings.'''
        found = connection.scalar("select max(points) from marts.loyalty_points")
        return Finding([f"{found} points"] if found > most else [])

    return Domain(
        name="loyalty",
        charts={"marts.loyalty_points": chart},
        checks={"marts.loyalty_points": {"points_are_few": check}},
    )
"""
MODEL = """
{{ config(materialized='table') }}
select 'c1' as customer_id, {{ var('loyalty_points') }} as points
"""
DOCS = """
version: 2
models:
  - name: loyalty_points
    description: Points of each customer. One row per customer.
    columns:
      - name: customer_id
        description: The customer.
        data_type: varchar
        data_tests: [not_null]
      - name: points
        description: Their points.
        data_type: integer
"""


@pytest.fixture
def sql_dir(tmp_path: Path) -> Path:
    """A copy of the SQL project with one model more."""
    folder = tmp_path / "sql"
    shutil.copytree(PROJECT_DIR / "dbt_like_sql", folder)
    (folder / "models" / "marts" / "loyalty_points.sql").write_text(MODEL)
    (folder / "models" / "marts" / "loyalty_points.yml").write_text(DOCS)
    project = folder / "dbt_project.yml"
    project.write_text(project.read_text().replace("\nvars:\n", "\nvars:\n  loyalty_points: 5\n", 1))
    return folder


@pytest.fixture
def toy(
    new_domain: Callable[[str], Path], sql_dir: Path, settings_for: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:  # fmt: skip
    folder = new_domain("loyalty")
    (folder / "settings.py").write_text(SETTINGS)
    (folder / "definitions.py").write_text(DEFINITIONS)
    monkeypatch.setenv("CLM_LOYALTY_POINTS", "7")
    return settings_for(sql_dir=sql_dir)


def test_its_settings_are_there(toy: Settings) -> None:
    assert toy.flat()["loyalty_points"] == 7
    assert origins(toy)["loyalty_points"] == "environment, CLM_LOYALTY_POINTS"


def test_its_chart_and_its_check_are_those_of_its_asset(toy: Settings, instance: dg.DagsterInstance) -> None:
    key = dg.AssetKey(["marts", "loyalty_points"])
    result = (
        build_definitions(toy)
        .resolve_job_def(DAILY)
        .execute_in_process(instance=instance, asset_selection=[key], partition_key="2024-01-01")
    )
    (event,) = result.asset_materializations_for_node("marts__loyalty_points")
    assert event.metadata["chart"].value == "a picture of 7 points"
    checks = {found.check_name: found.passed for found in result.get_asset_check_evaluations()}
    assert checks["points_are_few"] is True and len(checks) == 2


def test_what_it_adds_must_be_of_something_that_is_there(toy: Settings, sql_dir: Path) -> None:
    for ending in ("sql", "yml"):
        (sql_dir / "models" / "marts" / f"loyalty_points.{ending}").unlink()
    with pytest.raises(
        ProjectError, match=r"the domain loyalty has a chart of marts.loyalty_points, which is no"
    ):
        build_definitions(toy)


def test_two_domains_cannot_draw_the_same_table(toy: Settings, new_domain: Callable[[str], Path]) -> None:
    twin = DEFINITIONS.replace('name="loyalty"', 'name="twin"')
    (new_domain("twin") / "definitions.py").write_text(twin)
    with pytest.raises(
        ProjectError, match=r"both domains loyalty and twin have a chart of marts.loyalty_points"
    ):
        build_definitions(toy)


def test_it_is_gone_with_its_folder(settings: Settings) -> None:
    assert "loyalty_points" not in load_settings(source="generic").flat()
