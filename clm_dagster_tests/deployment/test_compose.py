"""compose.yaml and its files: what protects the containers, and that the files agree with each other."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from clm_dagster.platform.code_location import LOCATION, MODULE
from clm_dagster.settings import PROJECT_DIR, known_settings
from clm_dagster_tests.deployment.compose_file import FILES, read_compose

COMPOSE = read_compose()
SERVICES = COMPOSE["services"]


@pytest.mark.parametrize("service", list(SERVICES))
def test_each_service_is_protected_watched_and_restarted(service: str) -> None:
    found = SERVICES[service]
    assert found["read_only"] is True
    assert found["user"] not in ("", "root", "0")
    assert (found["cap_drop"], found["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert found["restart"] == "unless-stopped"
    assert found["healthcheck"]["test"][0] == "CMD"
    assert any(place.startswith("/tmp") for place in found["tmpfs"])
    for port in found.get("ports", ()):
        assert port.startswith("127.0.0.1:")
    for name, condition in found.get("depends_on", {}).items():
        waits = "service_started" if name == "mlflow" else "service_healthy"
        assert name in SERVICES and condition == {"condition": waits}


def test_no_secret_is_written_into_a_file() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            secret = "PASSWORD" in name and not name.endswith("_FILE")
            assert not secret and "@" not in value.replace("clm@postgres", ""), name
        assert set(service["secrets"]) <= COMPOSE["secrets"].keys()
    ignored = (PROJECT_DIR / ".gitignore").read_text().splitlines()
    assert {"/secrets/", "/.docker/shop.env"} <= set(ignored)
    assert (FILES / "Dockerfile.dockerignore").read_text().splitlines()[1] == "*"


def test_telemetry_is_off() -> None:
    for name, service in SERVICES.items():
        if name != "postgres":
            assert service["environment"]["DAGSTER_DISABLE_TELEMETRY"] == "true"
            assert service["environment"]["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert yaml.safe_load((FILES / "dagster.yaml").read_text())["telemetry"] == {"enabled": False}


def test_the_files_name_the_same_code_location() -> None:
    (server,) = yaml.safe_load((FILES / "workspace.yaml").read_text())["load_from"]
    found = server["grpc_server"]
    assert (found["location_name"], found["host"]) == (LOCATION, "code-location")
    command = SERVICES["code-location"]["command"]
    assert {f"--port={found['port']}", f"--module-name={MODULE}", f"--location-name={LOCATION}"} <= set(
        command
    )


def test_its_variables_are_settings_and_its_files_exist() -> None:
    known = {setting.variable for setting in known_settings().values()}
    for service in SERVICES.values():
        assert {name for name in service["environment"] if name.startswith("CLM_")} <= known
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./.docker/"):
                assert (PROJECT_DIR / source).is_file()
            elif not source.startswith("."):
                assert source in COMPOSE["volumes"]
    assert read_compose(".docker/s3.yaml")["services"].keys() <= SERVICES.keys()


def test_the_image_has_what_the_extra_needs() -> None:
    project = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text())["project"]
    locked = {line.split("==")[0] for line in (PROJECT_DIR / "requirements.lock").read_text().splitlines()}
    assert {need.split(">")[0] for need in project["optional-dependencies"]["postgres"]} <= locked


def enter(tmp_path: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [str(FILES / "entrypoint"), "env"]
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)


def test_the_entry_point_reads_secrets_from_files(tmp_path: Path) -> None:
    secret = tmp_path / "a file"
    secret.write_text("a: b'c\"$d `e` \\f\n")
    done = enter(tmp_path, PGPASSWORD_FILE=str(secret), CLM_WEBHOOK_URL_FILE=str(secret), SSL_CERT_FILE="/x")
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert found["PGPASSWORD"] == found["CLM_WEBHOOK_URL"] == "a: b'c\"$d `e` \\f"
    assert found["SSL_CERT_FILE"] == "/x" and not {"SSL_CERT", "PGPASSWORD_FILE"} & found.keys()


def test_the_entry_point_names_a_file_that_is_missing(tmp_path: Path) -> None:
    done = enter(tmp_path, PGPASSWORD_FILE="/nowhere/password")
    assert done.returncode == 1
    assert "PGPASSWORD_FILE names /nowhere/password" in done.stderr and "mode 0644" in done.stderr


def docker(*command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        ["docker", *command], cwd=PROJECT_DIR, capture_output=True, text=True, check=False, timeout=1800
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_docker_compose_starts_from_nothing(tmp_path: Path) -> None:
    if not shutil.which("docker") or docker("info", check=False).returncode != 0:
        pytest.skip("no Docker daemon answers")
    if docker("compose", "version", check=False).returncode != 0:
        pytest.skip("Docker has no Compose")
    secret = tmp_path / "postgres_password"
    secret.write_text("of-this-test")
    secret.chmod(0o644)
    added = tmp_path / "test.yaml"
    added.write_text(yaml.safe_dump({"secrets": {"postgres_password": {"file": str(secret)}}}))
    project = ("compose", "--project-name", "clm_test", "--file", "compose.yaml", "--file", str(added))
    try:
        docker(*project, "up", "--detach", "--build", "--wait")
        listed = docker(*project, "exec", "code-location", "entrypoint", "clm", "settings", "--json")
        assert '"/data"' in listed.stdout
    finally:
        docker(*project, "down", "--volumes", "--timeout", "10", check=False)
