"""The executor of all jobs, which a setting chooses, and the pool of steps that write the warehouse.

Belongs here: what every run notes when it starts, whoever starts it; in how many processes its steps run. Does not:
runs that `clm` starts (`runs`), which note the same before they start and have an executor of their own.

Dagster's multiprocess executor starts a process for each step. Two of them cannot write a DuckDB file at once, so steps
that write it throughout share a pool, whose limit is 2 in `dagster.yaml`: one writes, the process of the next one
starts, and the others wait before their processes exist, instead of each waiting for the lock in one. With a limit of
1, a load of two weeks took 141 s instead of 72 s, because starting a process takes longer than the step. Python tables
are in no pool: they hold the lock only while they read and write, and compute side by side in between.
"""

import multiprocessing
from collections.abc import Iterator, Mapping
from typing import Any, cast

import dagster as dg
from dagster._core.definitions.executor_definition import (
    IN_PROC_CONFIG,
    MULTI_PROC_CONFIG,
    multiple_process_executor_requirements,
)
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor
from dagster._core.executor.multiprocess import MultiprocessExecutor

from clm_dagster.platform.code_location import origin_tags
from clm_dagster.platform.naming import name_of
from clm_dagster.platform.processes import OWNER, ProcessIdentity
from clm_dagster.settings import Settings
from clm_dagster.settings.shared import MULTIPROCESS

# Quicker than `spawn`, where the system has it: the server has imported the modules that every step needs.
_START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


class OwnedExecutor(InProcessExecutor):
    """Dagster's in-process executor. A killed run can be recognised by the process that it notes."""

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Note the process on the run, then execute all steps."""
        note_owner(plan_context)
        yield from super().execute(plan_context, execution_plan)


class OwnedProcesses(MultiprocessExecutor):
    """Dagster's multiprocess executor. The run notes the process that starts and awaits those of the steps."""

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Note this process on the run, then execute each step in a process of its own."""
        note_owner(plan_context)
        yield from super().execute(plan_context, execution_plan)


def note_owner(plan_context: PlanOrchestrationContext) -> None:
    """Note this process on a run, and the code location where none is noted."""
    run = plan_context.dagster_run
    # `dg launch` executes a job in its own process, and notes no code location.
    missing = {name: value for name, value in origin_tags().items() if name not in run.tags}
    listed = {} if run.remote_job_origin else missing
    plan_context.instance.add_run_tags(run.run_id, ProcessIdentity.own().tags(OWNER) | listed)


@dg.executor(name="in_process", config_schema=IN_PROC_CONFIG)
def owned_executor(context: dg.InitExecutorContext) -> OwnedExecutor:
    """Execute all steps in one process, which the run notes."""
    return OwnedExecutor(_retries(context))


def owned_processes(settings: Settings) -> dg.ExecutorDefinition:
    """Return the executor of a shop that starts a process for each step, as many at once as CLM_PROCESSES says."""

    @dg.executor(
        name="multiprocess",
        config_schema=MULTI_PROC_CONFIG,
        requirements=multiple_process_executor_requirements(),
    )
    def processes(context: dg.InitExecutorContext) -> OwnedProcesses:
        """Execute each step in a process of its own. The run notes the process that started it."""
        config: Mapping[str, Any] = context.executor_config
        (start,) = (config.get("start_method") or {_START: {}}).items()
        return OwnedProcesses(
            retries=_retries(context),
            max_concurrent=config.get("max_concurrent") or settings.processes or None,
            tag_concurrency_limits=config.get("tag_concurrency_limits"),
            start_method=start[0],
            explicit_forkserver_preload=start[1].get("preload_modules"),
        )

    return processes


def executor_of(settings: Settings) -> dg.ExecutorDefinition:
    """Return the executor that the setting CLM_EXECUTOR chooses for the jobs of a shop."""
    return owned_processes(settings) if settings.executor == MULTIPROCESS else owned_executor


def warehouse_pool(settings: Settings, relation: str | None = None) -> str | None:
    """Return the pool of the steps that write a shop's warehouse from their begin to their end.

    None where the steps of a run share a process: they follow one another, and the lock is enough for other runs. In a
    lake, each table that a step replaces as a whole has its own pool, and nothing else has one. relation: that table.
    """
    if settings.executor != MULTIPROCESS:
        return None
    if settings.has_lake:
        return name_of(settings, f"table_{relation.replace('.', '_')}") if relation else None
    return name_of(settings, "warehouse")


def _retries(context: dg.InitExecutorContext) -> RetryMode:
    retries = cast(Mapping[str, Mapping[str, object]], context.executor_config["retries"])
    return RetryMode.from_config(retries) or RetryMode.ENABLED
