"""A simulated year of ticks on the build ledger alone, trainings and scores included: nothing is left for `clm run`."""

from collections.abc import Callable
from datetime import date, timedelta

import dagster as dg
import numpy as np
import pytest

from clm_dagster.platform.build_ledger.staleness import training_keys
from clm_dagster.platform.build_ledger.versions import EVENTS, Builds, Version, record
from clm_dagster.platform.dbt_project.project import DAILY as DAY
from clm_dagster.platform.dbt_project.project import SNAPSHOT
from clm_dagster.platform.due_runs import DueRuns
from clm_dagster.platform.job_names import DAILY, MODELS, RANGE_END, RANGE_START, SCORES, SNAPSHOTS
from clm_dagster.platform.partitions import parse_day, snapshot_keys
from clm_dagster.platform.planning import Planner
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.settings import Settings
from clm_dagster_tests.platform.due import FIRST, LandedDays, at, days, due_runs, finish


def carry_out(due: DueRuns, landed: LandedDays, job: str, request: dg.RunRequest) -> None:
    """Write to the ledger what the run of a request writes."""
    first, last = parse_day(request.tags[RANGE_START]), parse_day(request.tags[RANGE_END])
    with warehouse_of(due.settings).connect("a test") as connection:
        builds = Builds.read(connection)
        before = {relation: dict(stored) for relation, stored in builds._stored.items()}
        planner = Planner(due.settings, due.project, due.tables, landed, builds, published=True)
        if job == DAILY:
            keys = days(first, (last - first).days + 1)
            for key in keys:
                builds.assume(EVENTS, key, Version(landed.day_version(key)))
            landed.pending = tuple(key for key in landed.pending if key not in keys)
            planner._build_models(DAY, keys)
            planner._assume_tables()
        weeks = snapshot_keys(first, last + timedelta(days=1))
        if job == SNAPSHOTS:
            planner._build_models(SNAPSHOT, weeks)
        if job in (DAILY, SNAPSHOTS):
            planner._assume_all(planner._stale_files(job))
        chosen = {".".join(key.path) for key in request.asset_selection or ()}
        for table in due.tables if job in (MODELS, SCORES) else ():
            if table.is_trained == (job == MODELS) and (not chosen or table.relation in chosen):
                for key in weeks:
                    planner._build_table(table, key)
        if job == SCORES:
            planner._assume_all(planner._stale_python_views())
        for relation, stored in builds._stored.items():
            changed = {k: v for k, v in stored.items() if before.get(relation, {}).get(k) != v}
            record(connection, relation, [(key, version, 1) for key, version in changed.items()], "a run")


@pytest.mark.slow
def test_a_year_of_ticks_leaves_nothing_to_do(
    settings_for: Callable[..., Settings], instance: dg.DagsterInstance
) -> None:
    settings = settings_for(end_date=None, train_count=3, train_every_weeks=13, catch_up_days=40)
    rng, landed = np.random.default_rng(5), LandedDays(0)
    due = due_runs(settings, landed)
    day, trained, failed, requested = FIRST + timedelta(days=8), list[str](), 0, 0
    while day < date(2025, 1, 6):
        for _ in range(int(rng.integers(1, 4))):
            landed.count = (day - FIRST).days
            late = days(FIRST, landed.count)[int(rng.integers(landed.count))]
            landed.pending = (*landed.pending, late) if rng.random() < 0.3 else landed.pending
            for hour, job in enumerate((DAILY, SNAPSHOTS, SNAPSHOTS, MODELS, MODELS, SCORES, SCORES)):
                now = at(settings, day.isoformat(), 3 + hour)
                request = due.request(instance, job, job, now, lookback=job == DAILY)
                if not isinstance(request, dg.RunRequest):
                    continue
                requested += 1
                assert request.tags[RANGE_END] < day.isoformat()
                span = parse_day(request.tags[RANGE_END]) - parse_day(request.tags[RANGE_START])
                assert span < timedelta(days=7 * 13 if job in (SCORES, SNAPSHOTS) else 40)
                if rng.random() < 0.2:
                    failed += 1
                    finish(instance, request, dg.DagsterRunStatus.FAILURE, job)
                    continue
                carry_out(due, landed, job, request)
                finish(instance, request, dg.DagsterRunStatus.SUCCESS, job)
                trained += [request.tags[RANGE_START]] if job == MODELS else []
            day += timedelta(days=1)
        day += timedelta(days=int(rng.integers(7, 50)))  # an outage
    assert failed > 2 and requested > 20
    # Dagster runs again for a week, and nothing fails.
    for number in range(7):
        landed.count = (day + timedelta(days=number) - FIRST).days
        for hour, job in enumerate((DAILY, SNAPSHOTS, SNAPSHOTS, MODELS, MODELS, SCORES, SCORES, SCORES)):
            now = at(settings, (day + timedelta(days=number)).isoformat(), 3 + hour)
            request = due.request(instance, job, job, now, lookback=job == DAILY)
            if isinstance(request, dg.RunRequest):
                carry_out(due, landed, job, request)
                finish(instance, request, dg.DagsterRunStatus.SUCCESS, job)
                trained += [request.tags[RANGE_START]] if job == MODELS else []
    with warehouse_of(settings).connect("a test") as connection:
        builds = Builds.read(connection)
    keys = builds.keys("core.customer_features")
    assert keys == snapshot_keys(FIRST, parse_day(keys[-1]) + timedelta(days=1))
    assert set(training_keys(keys, settings)) <= set(builds.keys("models.persona_model")) & set(trained)
    planner = Planner(settings, due.project, due.tables, landed, builds, published=True)
    assert planner.plan().steps == ()
