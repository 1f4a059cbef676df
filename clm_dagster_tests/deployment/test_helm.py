"""The values for Dagster's Helm chart: known keys, and agreement with the project.

The chart itself is not here. `KEYS` are the keys of the values as they were checked by hand against the chart's sources
(1.13): a test fails if one is added or renamed without looking there.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from clm_dagster.platform.code_location import LOCATION, MODULE
from clm_dagster.settings import known_settings
from clm_dagster_tests.deployment.compose_file import FILES

VALUES: dict[str, Any] = yaml.safe_load((FILES / "helm" / "values.yaml").read_text())
(CODE,) = VALUES["dagster-user-deployments"]["deployments"]
IMAGE = ("image.repository", "image.tag", "image.pullPolicy")
CONTEXTS = ("podSecurityContext", "securityContext")
# What Kubernetes defines below these is not listed.
OF_KUBERNETES = {
    *CONTEXTS,
    "env",
    "envSecrets",
    "volumes",
    "volumeMounts",
    "resources",
    "deploymentStrategy",
}
KEYS = {
    "global": {"dagsterHome", "postgresqlSecretName"},
    "generatePostgresqlPasswordSecret": {""},
    "postgresql": {
        "enabled",
        "postgresqlHost",
        "postgresqlUsername",
        "postgresqlDatabase",
        "service.port",
    },
    "dagsterWebserver": {
        *IMAGE,
        *CONTEXTS,
        "workspace.enabled",
        "workspace.servers.host",
        "workspace.servers.port",
        "workspace.servers.name",
    },
    "dagsterDaemon": {
        *IMAGE,
        *CONTEXTS,
        "enabled",
        "runMonitoring.enabled",
        "runMonitoring.startTimeoutSeconds",
        "runMonitoring.cancelTimeoutSeconds",
        "runMonitoring.freeSlotsAfterRunEndSeconds",
    },
    "concurrency": {"enabled", "pools.defaultLimit", "runs.maxConcurrentRuns"},
    "runLauncher": {
        "type",
        "config.customRunLauncher.module",
        "config.customRunLauncher.class",
        "config.customRunLauncher.config",
    },
    "dagster-user-deployments": {
        "enabled",
        "enableSubchart",
        "deployments.name",
        "deployments.dagsterApiGrpcArgs",
        "deployments.port",
        *(f"deployments.{key}" for key in (*IMAGE, *OF_KUBERNETES)),
    },
    "telemetry": {"enabled"},
}


def paths(value: object, place: str = "") -> Iterator[str]:
    """Yield the path of each value, down to what Kubernetes defines."""
    if isinstance(value, dict) and value and place.rpartition(".")[2] not in OF_KUBERNETES:
        for key, below in value.items():
            yield from paths(below, f"{place}.{key}" if place else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for item in value:
            yield from paths(item, place) if place.rpartition(".")[2] not in OF_KUBERNETES else (place,)
    else:
        yield place


def test_the_chart_knows_each_key() -> None:
    assert {key: set(paths(value)) for key, value in VALUES.items()} == KEYS


def test_runs_are_executed_where_the_volume_is() -> None:
    assert VALUES["runLauncher"]["config"]["customRunLauncher"]["class"] == "DefaultRunLauncher"
    claims = {volume["persistentVolumeClaim"]["claimName"] for volume in CODE["volumes"][:1]}
    assert claims == {yaml.safe_load((FILES / "helm" / "volume.yaml").read_text())["metadata"]["name"]}
    assert CODE["deploymentStrategy"] == {"type": "Recreate"}
    assert {mount["name"] for mount in CODE["volumeMounts"]} == {volume["name"] for volume in CODE["volumes"]}


def test_names_agree() -> None:
    assert MODULE in CODE["dagsterApiGrpcArgs"] and LOCATION in CODE["dagsterApiGrpcArgs"]
    (server,) = VALUES["dagsterWebserver"]["workspace"]["servers"]
    assert (server["host"], server["port"], server["name"]) == (CODE["name"], CODE["port"], LOCATION)
    known = {setting.variable for setting in known_settings().values()}
    assert {name for name in CODE["env"] if name.startswith("CLM_")} <= known
    assert VALUES["global"]["dagsterHome"] == f"{CODE['env']['CLM_DATA_DIR']}/dagster"


def test_pods_have_no_privileges() -> None:
    for part in (VALUES["dagsterWebserver"], VALUES["dagsterDaemon"], CODE):
        assert part["podSecurityContext"]["runAsNonRoot"] is True
        assert part["securityContext"]["allowPrivilegeEscalation"] is False
        assert part["securityContext"]["capabilities"] == {"drop": ["ALL"]}
