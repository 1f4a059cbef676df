"""Names with and without the prefix of a shop that shares a deployment."""

from collections.abc import Callable

import dagster as dg
import pytest

from clm_dagster.definitions import shop_definitions
from clm_dagster.platform.executors import owned_executor
from clm_dagster.platform.naming import SHOP_TAG, asset_key, is_own_run, name_of
from clm_dagster.settings import Settings, SettingsError


def run(tags: dict[str, str] | None = None, *keys: str) -> dg.DagsterRun:
    selection = frozenset(dg.AssetKey(key.split("/")) for key in keys) or None
    return dg.DagsterRun(job_name="any", tags=tags or {}, asset_selection=selection)


def test_without_a_prefix_nothing_is_added(settings: Settings) -> None:
    assert asset_key(settings, "marts.shop_daily") == dg.AssetKey(["marts", "shop_daily"])
    assert name_of(settings, "daily") == "daily"
    assert is_own_run(settings, run({SHOP_TAG: "a"}, "a/raw/events"))


def test_a_prefix_is_the_first_part_of_keys_and_names(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(asset_prefix="my_shop")
    assert asset_key(settings, "marts.shop_daily").path == ["my_shop", "marts", "shop_daily"]
    assert name_of(settings, "daily") == "my_shop_daily"


def test_a_run_belongs_to_the_shop_of_its_job_or_of_its_assets(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(asset_prefix="a")
    assert is_own_run(settings, run({SHOP_TAG: "a"}))
    assert is_own_run(settings, run(None, "other/x", "a/raw/events"))
    assert not is_own_run(settings, run({SHOP_TAG: "b"}))
    assert not is_own_run(settings, run(None, "b/raw/events", "raw/events"))


@pytest.mark.parametrize("prefix", ["my-shop", "my shop", "a/b"])
def test_a_prefix_is_a_name(prefix: str, settings_for: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match=r"CLM_ASSET_PREFIX.*expected letters, digits and underscores"):
        settings_for(asset_prefix=prefix)


def test_everything_of_a_shop_with_a_prefix_has_it(settings_for: Callable[..., Settings]) -> None:
    """Two shops and a team's own asset in one code location, with equal tags and partitions of other dates."""

    @dg.asset(tags={"layer": "published", "job": "daily"})
    def stranger() -> None: ...

    first = shop_definitions(settings_for(asset_prefix="a", start_date="2024-01-01"))
    second = shop_definitions(settings_for(asset_prefix="b", start_date="2023-01-02"))
    plain = shop_definitions(settings_for())
    both = dg.Definitions.merge(first, second, plain, dg.Definitions(assets=[stranger]))
    dg.Definitions.validate_loadable(both)
    graph, repository = both.resolve_asset_graph(), both.get_repository_def()
    keys = {key for key in graph.get_all_asset_keys() if key != stranger.key}
    bare = {tuple(key.path) for key in keys if len(key.path) == 2}
    assert {tuple(key.path) for key in keys} == bare | {(shop, *path) for shop in "ab" for path in bare}
    for shop in "ab":
        of_shop = {key for key in keys if key.path[0] == shop}
        assert all(str(graph.get(key).group_name).startswith(f"{shop}_") for key in of_shop)
        assert all(parent in of_shop for key in of_shop for parent in graph.get(key).parent_keys)
        checks = {key.asset_key for key in graph.asset_check_keys if key.asset_key.path[0] == shop}
        assert checks <= of_shop
    assert len(graph.asset_check_keys) % 3 == 0
    for kind in (repository.schedule_defs, repository.sensor_defs, repository.get_all_jobs()):
        names = {found.name for found in kind if not found.name.startswith("__")}
        own = {name for name in names if name[:2] not in ("a_", "b_")}
        assert own and names == own | {f"{shop}_{name}" for shop in "ab" for name in own}
    for name in ("land", "daily", "snapshots", "models", "scores", "publish"):
        plainly = {tuple(k.path) for k in both.resolve_job_def(name).asset_layer.executable_asset_keys}
        job = both.resolve_job_def(f"b_{name}")
        assert {tuple(k.path) for k in job.asset_layer.executable_asset_keys} == {("b", *k) for k in plainly}
        assert job.executor_def is owned_executor
        assert job.run_tags[SHOP_TAG] == "b"
    first_day = [both.resolve_job_def(f"{shop}_daily").partitions_def for shop in "ab"]
    assert [days.get_first_partition_key() for days in first_day if days] == ["2024-01-01", "2023-01-02"]
