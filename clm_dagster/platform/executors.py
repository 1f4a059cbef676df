"""The executor of all jobs: one process for all steps, whose identity is noted on the run.

Belongs here: what every run notes when it starts, whoever starts it. Does not: runs that `clm` starts (`runs`), which
note the same before they start.
"""

from collections.abc import Iterator, Mapping
from typing import cast

import dagster as dg
from dagster._core.definitions.executor_definition import IN_PROC_CONFIG
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

from clm_dagster.platform.code_location import origin_tags
from clm_dagster.platform.processes import OWNER, ProcessIdentity


class OwnedExecutor(InProcessExecutor):
    """Dagster's in-process executor. A killed run can be recognised by the process that it notes."""

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Note the process on the run, and the code location where none is noted, then execute all steps."""
        run = plan_context.dagster_run
        # `dg launch` executes a job in its own process, and notes no code location.
        missing = {name: value for name, value in origin_tags().items() if name not in run.tags}
        listed = {} if run.remote_job_origin else missing
        plan_context.instance.add_run_tags(run.run_id, ProcessIdentity.own().tags(OWNER) | listed)
        yield from super().execute(plan_context, execution_plan)


@dg.executor(name="in_process", config_schema=IN_PROC_CONFIG)
def owned_executor(context: dg.InitExecutorContext) -> OwnedExecutor:
    """Execute all steps in one process, which the run notes."""
    retries = cast(Mapping[str, Mapping[str, object]], context.executor_config["retries"])
    return OwnedExecutor(RetryMode.from_config(retries) or RetryMode.ENABLED)
