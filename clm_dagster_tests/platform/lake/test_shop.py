"""A whole shop in a lake has the tables of the same shop in a DuckDB file; files in a folder and in S3."""

from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer

from clm_dagster.platform.publish.publishing import is_published, last_published
from clm_dagster.platform.publish.reading import connect_published
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.settings import Settings
from clm_dagster.shop_run import plan_shop, run_shop
from clm_dagster.upkeep.backup import back_up
from clm_dagster.upkeep.guarding import UpkeepError
from clm_dagster.upkeep.vacuum import vacuum
from clm_dagster_tests.shops import quiet, run_at, small_shop_events, write_shop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def file_shop(extensions: None, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A shop of a week whose warehouse is a file."""
    root = tmp_path_factory.mktemp("file_shop")
    settings = write_shop(root, small_shop_events(customers=12, orders=25, days=8), end_date="2024-01-09")
    run_at(root, settings)
    return settings


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a bucket on a server of S3's API, which the variables of AWS name."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    values = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret-of-the-bucket",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="lake")
    yield "s3://lake/shop"
    client.close()
    server.stop()


def tables(settings: Settings) -> dict[str, pd.DataFrame]:
    """All tables and views, without the columns that name runs and times of loading."""
    with warehouse_of(settings).connect("a test") as connection:
        names = [
            name
            for (name,) in connection.execute(
                "select table_schema || '.' || table_name from information_schema.tables "
                "where table_schema in ('raw', 'staging', 'core', 'marts', 'models') "
                "and table_catalog = current_database() order by all"
            )
        ]
        frames = {
            name: connection.frame(f"select * from {name}") for name in names if name != "raw.build_log"
        }
    own = ("run_id", "landed_at", "written")
    return {
        name: _sorted(frame.drop(columns=[c for c in own if c in frame])) for name, frame in frames.items()
    }


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    # Sums of doubles depend on the order of threads.
    text = frame.map(lambda value: f"{value:.9g}" if isinstance(value, float) else str(value))
    return text.sort_values(list(text.columns)).reset_index(drop=True)


def assert_equal(lake: Settings, file: Settings) -> None:
    expected, found = tables(file), tables(lake)
    assert list(found) == list(expected)
    assert len(found) > 70
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(found[name], frame, obj=name)


def in_lake(file_shop: Settings, lake: Settings) -> Settings:
    """The same shop with the warehouse of other settings."""
    own = ("catalog", "catalog_schema", "data_path", "lake_encrypted", "data_dir")
    return file_shop.replace(**{name: getattr(lake, name) for name in own})


def test_a_shop_in_a_lake_has_the_same_tables(
    file_shop: Settings, lake_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = in_lake(file_shop, lake_settings(lake_encrypted=True))
    run_at(tmp_path, settings)
    assert_equal(settings, file_shop)
    assert plan_shop(settings).plan.steps == ()
    assert run_shop(settings, quiet).is_up_to_date
    assert is_published(settings)
    with connect_published(settings, "a test") as connection:
        assert connection.scalar("select count(*) from marts.rfm_segments") > 0
    with pytest.raises(UpkeepError, match="pg_dump"):
        back_up(settings, tmp_path / "backup.tar.zst")
    kept = settings.replace(lake_keep_days=0)
    planned = {each.kind: each.number for each in vacuum(kept, dry_run=True)}
    assert planned["small files merged"] > 10
    done = {each.kind: each.number for each in vacuum(kept)}
    assert done["small files merged"] > 10
    assert done["states of the lake older than 0 days"] > 10
    assert_equal(settings, file_shop)
    assert is_published(settings)
    assert plan_shop(settings).plan.steps == ()


def test_files_of_a_lake_in_s3(
    file_shop: Settings, lake_settings: Callable[..., Settings], bucket: str, tmp_path: Path
) -> None:
    settings = in_lake(file_shop, lake_settings(data_path=bucket))
    run_at(tmp_path, settings)
    assert_equal(settings, file_shop)
    published = last_published(settings)
    assert published is not None
    assert "secret-of-the-bucket" not in published.place
    with connect_published(settings, "a test") as connection:
        assert connection.scalar("select count(*) from core.customer_daily") > 0
    client = boto3.client("s3", region_name="us-east-1")
    keys = [each["Key"] for each in client.list_objects_v2(Bucket="lake")["Contents"]]
    assert all(key.startswith(f"shop/{settings.catalog_schema}/tables/") for key in keys)
