"""The cost of delivering and running one more day, on any history.

Belongs here: loading a history, delivering a day, the split of its cost. Does not: which histories
(`growth`), output and goals (`report`).

A day is delivered several times: its manifest is taken away, so that it is landed anew, and its partition
is run again, which costs what the first time costs. The history may be loaded with
Dagster's bookkeeping kept (`clm run`) or thrown away (an instance in memory): the same jobs, and nothing of
it is measured.
"""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clm_dagster_tests.benchmarks.inputs import DATES, LAST_DAY, LAST_WEEK

if TYPE_CHECKING:
    import dagster as dg

    from clm_dagster.settings import Settings
    from clm_dagster_tests.benchmarks.stopwatch import Split

Steps = Callable[[str], bool]
# Steps of the daily job, by what they are. Views hold no rows, but their checks and charts read all.
GROUPS: dict[str, Steps] = {
    "ingestion": lambda step: step.startswith(("landing__", "raw__")),
    "roll-ups": lambda step: step.startswith("core__"),
    "views and seeds": lambda step: step.startswith(("staging__", "marts__")),
    "publication": lambda step: step.startswith("published__"),
}
_HISTORY_SNAPSHOTS = 4


def settings_of(folder: str) -> "Settings":
    """Return the settings of a shop whose inbox and data are in a folder."""
    from clm_dagster.settings import load_settings

    return load_settings(
        source="online_retail_ii", input=f"{folder}/inbox", data_dir=f"{folder}/data", **DATES
    )


def history(folder: str, files: list[str], keep_bookkeeping: bool) -> dict[str, Any]:
    """Load a history: every day but the last, and the newest snapshots before it."""
    import dagster as dg

    from clm_dagster.platform.runs import prepare_home
    from clm_dagster.shop_run import run_shop

    inbox = Path(folder) / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    for file in files:
        Path(file).rename(inbox / Path(file).name)
    settings = settings_of(folder)
    if keep_bookkeeping:
        run_shop(settings, lambda title, total: _silent)
    else:
        prepare_home(settings)
        with dg.DagsterInstance.ephemeral() as instance:
            _load(settings, instance)
    return {
        "size_mb": settings.warehouse_path.stat().st_size / 1e6,
        "manifests": sorted(path.name for path in _manifests(settings)),
    }


def _load(settings: "Settings", instance: "dg.DagsterInstance") -> None:
    from clm_dagster.definitions import build_definitions
    from clm_dagster.domains.ingest.sensors import LAND
    from clm_dagster.platform.job_names import DAILY, SNAPSHOTS
    from clm_dagster.platform.partitions import monday_on_or_before, parse_day
    from clm_dagster.platform.runs import execute

    definitions = build_definitions(settings)
    last_week, one_week = parse_day(LAST_WEEK), timedelta(weeks=1)
    first_day = monday_on_or_before(settings.start_date).isoformat()
    last_day = (parse_day(LAST_DAY) - timedelta(days=1)).isoformat()
    execute(definitions, instance, LAND, None, _silent)
    execute(definitions, instance, DAILY, (first_day, last_day), _silent)
    weeks = (str(last_week - _HISTORY_SNAPSHOTS * one_week), str(last_week - one_week))
    execute(definitions, instance, SNAPSHOTS, weeks, _silent)


def extra(folder: str, day_file: str, loaded: list[str], repeats: int) -> dict[str, Any]:
    """Deliver the last day and run it, several times; each time the snapshot of its week after it.

    `loaded` names the manifests of the history.
    """
    import dagster as dg

    from clm_dagster.definitions import build_definitions
    from clm_dagster.domains.ingest.sensors import LAND
    from clm_dagster.platform.job_names import DAILY, SNAPSHOTS
    from clm_dagster.platform.runs import execute, prepare_home
    from clm_dagster_tests.benchmarks.stopwatch import install

    settings = settings_of(folder)
    prepare_home(settings)
    watch = install(keep_statements=True)
    history = {path for path in _manifests(settings) if path.name in loaded}
    shutil.copy(day_file, Path(settings.input) / Path(day_file).name)
    rounds = []
    with dg.DagsterInstance.get() as instance:
        definitions = build_definitions(settings)
        for _ in range(repeats):
            for manifest in _manifests(settings) - history:
                manifest.unlink()
            watch.take()
            watch.statements.clear()
            execute(definitions, instance, LAND, None, _silent)
            land = watch.take()
            if len(_manifests(settings) - history) != 1:
                raise AssertionError("the day was not landed anew")
            execute(definitions, instance, DAILY, (LAST_DAY, LAST_DAY), _silent)
            daily = watch.take()
            published = _published(instance)
            slowest = _slowest(watch.statements)
            execute(definitions, instance, SNAPSHOTS, (LAST_WEEK, LAST_WEEK), _silent)
            rounds.append(
                _round(land, daily) | {"slowest": slowest, "snapshot": _snapshot(watch.take()), **published}
            )
    return {
        "rounds": rounds,
        "size_mb": settings.warehouse_path.stat().st_size / 1e6,
    }


def _manifests(settings: "Settings") -> set[Path]:
    """One file for each delivery that is landed; without it a delivery is new."""
    return set((settings.landing_dir / "manifests").glob("*.json"))


def _round(land: "Split", daily: "Split") -> dict[str, Any]:
    """Landing and the daily job together, by group of steps, and Dagster's part of the whole."""
    result: dict[str, Any] = {}
    for name, holds in GROUPS.items():
        result[name] = _added(land.as_dict(holds), daily.as_dict(holds))
    whole = _added(land.as_dict(), daily.as_dict())
    result["day"] = _added(result["ingestion"], result["roll-ups"])
    result["bookkeeping"] = whole["dagster"]
    result["whole"] = whole
    parts = land.by_step(), daily.by_step()
    result["steps"] = {
        step: sum(part[step]["wall"] for part in parts if step in part)
        for step in sorted({*parts[0], *parts[1]})
    }
    return result


def _snapshot(split: "Split") -> dict[str, Any]:
    """The snapshot job without its publication, and its publication."""
    publication = GROUPS["publication"]
    return {
        **split.as_dict(lambda step: step != "" and not publication(step)),
        "dagster": split.of("dagster"),
        "publication": split.of(None, publication),
    }


def _added(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return {name: one[name] + other[name] for name in one}


def _published(instance: "dg.DagsterInstance") -> dict[str, float]:
    from clm_dagster.platform.publish.assets import KEY

    event = instance.get_latest_materialization_event(KEY)
    assert event is not None and event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    return {name: float(metadata[name].value) for name in ("written_mb", "size_mb")}  # type: ignore[arg-type]


def _slowest(statements: list[Any], number: int = 12) -> list[list[Any]]:
    slow = sorted(statements, key=lambda s: -s.seconds)[:number]
    return [[round(s.seconds, 4), s.step, " ".join(s.sql.split())[:160]] for s in slow]


def _silent(step: str, done: int) -> None:
    """Show no progress."""
