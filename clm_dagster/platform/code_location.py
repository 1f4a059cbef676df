"""The code location under which Dagster's UI lists the runs of this project.

Belongs here: its name, and the origin of its jobs. Does not: starting the UI (`dev_server`), definitions.

Dagster notes the origin of the job on the runs that its own server creates. The UI lists a run under its job and in
Overview only if it has this origin.
"""

import sys

from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

# The same names as in the checkout's workspace.yaml and dg.toml: Dagster keeps the state of schedules and sensors
# under them.
MODULE, LOCATION = "clm_dagster.definitions", "clm_dagster"


def repository_origin() -> RemoteRepositoryOrigin:
    """Return the origin of the definitions, as the server of `clm dev` has it."""
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE)
    return RemoteRepositoryOrigin(
        ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION), SINGLETON_REPOSITORY_NAME
    )


def job_origin(job: str) -> RemoteJobOrigin:
    """Return the origin of a job."""
    return repository_origin().get_job_origin(job)


def origin_tags() -> dict[str, str]:
    """Return the tags by which the UI finds the runs of this code location."""
    return {REPOSITORY_LABEL_TAG: repository_origin().get_label()}
