"""A data folder of the last release is opened by this version: nothing is lost, and every table is as if made anew.

`release_0_1_0.tar.xz` holds the data folder and the inbox of a simulated shop that version 0.1.0 ran twice, the second
time with more files. That version had no trained models.
"""

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from clm_dagster.domains.ingest.landing import Landing
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.warehouse_format import FORMAT, NewerWarehouseError
from clm_dagster.settings import Settings, load_settings
from clm_dagster.shop_run import plan_shop, run_shop
from clm_dagster.shop_status import read_status
from clm_dagster_tests.shops import quiet, run_at
from clm_dagster_tests.upkeep.shop_tables import differing_tables

RELEASE = Path(__file__).with_name("release_0_1_0.tar.xz")
# The ledger of rejected rows of 0.1.0, and what its deliveries add up to.
REJECTS = "select delivery_id, source_row from raw.rejects order by all"
DELIVERED = (
    "select delivery_id, landed_at, sum(delivered)::bigint from raw.deliveries group by all order by all"
)
UNBALANCED = "select * from raw.deliveries where delivered <> accepted + rejected + duplicate + skipped"


def _settings(folder: Path, **given: object) -> Settings:
    return load_settings(
        source="generic",
        input=str(given.pop("input", folder / "inbox")),
        data_dir=folder / "data",
        start_date="2024-01-01",
        end_date="2024-03-12",
        # The simulated files contain every kind of fault.
        max_rejected_share=1,
        **given,
    )


def _release(folder: Path) -> Settings:
    with tarfile.open(RELEASE) as archive:
        archive.extractall(folder, filter="data")
    return _settings(folder)


def _rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(settings.warehouse_path, read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def anew(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The same input run by this version in a new data folder."""
    folder = tmp_path_factory.mktemp("anew")
    kept = _release(folder / "release")
    settings = _settings(folder, input=kept.input)
    run_at(settings.dagster_home, settings)
    return settings


def test_the_warehouse_of_a_newer_version_is_refused(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for()
    with warehouse_of(settings).connect("a test") as connection:
        assert connection.scalar("select format from raw.warehouse_format") == FORMAT
        connection.execute("update raw.warehouse_format set format = 99, version = '9.1.0'")
    for opened in (warehouse_of(settings).connect, warehouse_of(settings).connect_read_only):
        with (
            pytest.raises(
                NewerWarehouseError, match=r"9\.1\.0 in format 99.*Install version 9\.1\.0 or newer"
            ),
            opened("a test"),
        ):
            pass


def test_plan_and_status_read_the_last_release_and_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _release(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))
    before = settings.warehouse_path.read_bytes()
    preview = plan_shop(settings)
    assert [path.name for path in preview.new_files] == sorted(
        path.name for path in Path(settings.input).iterdir()
    )
    assert {step.stage for step in preview.plan.steps} >= {"days", "snapshots"}
    assert "core.customer_features" in read_status(settings).stale
    assert settings.warehouse_path.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("are_gone", [False, True], ids=["with_files", "without_files"])
def test_a_run_makes_the_last_release_equal_to_a_new_run(
    tmp_path: Path, anew: Settings, are_gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _release(tmp_path)
    rejects, delivered = _rows(settings, REJECTS), _rows(settings, DELIVERED)
    assert len(rejects) > 50
    landed_at = {d.delivery_id: (d.landed_at, d.history) for d in Landing(settings.landing_dir).deliveries()}
    if are_gone:  # the landing area has the only copy of these rows
        for path in Path(settings.input).glob("e*.csv"):
            path.unlink()
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))
    run_shop(settings, quiet)
    # The ledger names the deliveries by the version of the adapter that landed them.
    leave_out = frozenset({"raw.builds", "raw.files"} if are_gone else set())
    assert differing_tables(settings.warehouse_path, anew.warehouse_path, leave_out) == []
    assert set(rejects) <= set(_rows(settings, REJECTS))
    assert _rows(settings, DELIVERED) == delivered
    assert _rows(settings, UNBALANCED) == []
    found = Landing(settings.landing_dir).deliveries()
    assert {d.delivery_id: (d.landed_at, d.history) for d in found} == landed_at
    assert run_shop(settings, quiet).is_up_to_date
    assert read_status(settings).preview.plan.steps == ()
