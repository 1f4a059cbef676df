"""`clm export actions`: options, the Dagster run, and what Dagster stores of it."""

from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from clm_dagster.cli import cli
from clm_dagster.definitions import build_definitions
from clm_dagster.domains.actions.exports.assets import export_key
from clm_dagster.domains.actions.exports.destinations import DESTINATIONS
from clm_dagster.errors import UserError
from clm_dagster.platform.runs import open_instance
from clm_dagster.settings import Settings
from clm_dagster_tests.domains.actions.exports.conftest import PlannedShop
from clm_dagster_tests.domains.actions.exports.receiver import receiving


@pytest.fixture
def planned(shop: PlannedShop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PlannedShop:
    shop.plan("anna", "ben", {"customer_id": "held", "arm": "holdout"})
    shop.consents(anna=True, ben=True, held=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLM_DATA_DIR", str(shop.settings.data_dir))
    monkeypatch.setenv("CLM_SOURCE", "generic")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return shop


def clm(text: str) -> str:
    done = CliRunner().invoke(cli, ["export", "actions", *text.split()], catch_exceptions=True)
    if done.exception is not None:
        raise done.exception
    return done.output


def test_a_run_with_metadata_and_without_ids(planned: PlannedShop, tmp_path: Path) -> None:
    assert "Would export to csv, plan of 2024-06-03: 2 added" in clm("--to csv --dry-run")
    output = clm(f"--to csv --out {tmp_path / 'out'}")
    assert "Exported to csv, plan of 2024-06-03: 2 added, 0 changed, 0 removed" in output
    (file,) = (tmp_path / "out").iterdir()
    assert file.name in output
    assert "Nothing to send to csv: it has the plan of 2024-06-03 already" in clm("--to csv")
    with open_instance(planned.settings) as instance:
        runs = instance.get_runs()
        assert [(run.job_name, run.status) for run in runs] == [
            ("export_actions_csv", dg.DagsterRunStatus.SUCCESS)
        ] * 2
        (event,) = instance.fetch_materializations(
            dg.AssetRecordsFilter(export_key(planned.settings, "csv")), limit=1, ascending=True
        ).records
        assert event.asset_materialization is not None
        found = {name: value.value for name, value in event.asset_materialization.metadata.items()}
        assert found["add"] == 2 and found["files"] == [file.name]
        logs = [str(entry) for run in runs for entry in instance.all_logs(run.run_id)]
    assert not any(name in line for line in logs for name in ("anna", "ben"))


def test_addresses_and_urls_are_not_stored_by_dagster(planned: PlannedShop, tmp_path: Path) -> None:
    emails = tmp_path / "emails.csv"
    emails.write_text("customer_id,email\nanna,anna@mail.example\n")
    assert "1 rows were left out: no usable e-mail address" in clm(f"--to mailchimp --emails {emails}")
    with receiving() as receiver:
        assert "2 added" in clm(f"--to webhook --url {receiver.url}?token=t0psecret")
        assert set(receiver.state()) == {"anna", "ben"}
    for path in planned.settings.data_dir.rglob("*"):
        if path.is_file() and "exports" not in path.parts:
            content = path.read_bytes()
            assert b"t0psecret" not in content and b"mail.example" not in content, path


def test_a_failed_check_fails_the_run_and_is_shown(planned: PlannedShop) -> None:
    planned.consents(anna=True, held=True)
    with planned.warehouse.connect("test") as connection:
        (view,) = connection.execute("select sql from duckdb_views() where view_name = 'actions_to_send'")
        connection.execute(
            view[0].replace("CREATE VIEW", "create or replace view").replace("'stated'", "'assumed'")
        )
    with pytest.raises(
        UserError, match=r"nothing was sent: of 2 customers .* 1 of whom no consent is known any more"
    ):
        clm("--to csv")
    key = export_key(planned.settings, "csv")
    with open_instance(planned.settings) as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.FAILURE
        evaluations = [
            entry.dagster_event.asset_check_evaluation_data
            for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
            if entry.dagster_event
        ]
        assert [(found.asset_key, found.passed, found.description) for found in evaluations] == [
            (key, False, "2024-06-03: 1 of whom no consent is known any more")
        ]
        assert instance.get_latest_materialization_event(key) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--to mailchimp", "give --emails FILE"),
        ("--to webhook", "needs a URL"),
        ("--to csv --as-of 2020-01-01", "no actions are planned at 2020-01-01"),
        ("--to google --emails none.csv", "cannot be read"),
    ],
)
def test_what_cannot_be_exported_says_why(planned: PlannedShop, options: str, message: str) -> None:
    for more in ("", " --dry-run"):
        with pytest.raises(UserError, match=message):
            clm(options + more)


def test_without_a_warehouse(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLM_DATA_DIR", str(settings.data_dir))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(UserError, match="there is no warehouse yet; run `clm run` first"):
        clm("--to csv --dry-run")
    with pytest.raises(UserError, match=r"there is no plan of actions yet .*; run `clm run` first"):
        clm("--to csv")


def test_each_destination_is_an_asset_of_its_own_job_and_of_no_other(settings: Settings) -> None:
    definitions = build_definitions(settings)
    graph = definitions.resolve_asset_graph()
    keys = {export_key(settings, name) for name in DESTINATIONS}
    assert {key for key in graph.materializable_asset_keys if key.path[0] == "exports"} == keys
    for key in keys:
        assert dg.AssetKey(["marts", "actions_to_send"]) in graph.get(key).parent_keys
    selected = {
        job.name: set(job.asset_layer.executable_asset_keys) & keys
        for job in definitions.get_repository_def().get_all_jobs()
        if not job.name.startswith("__")
    }
    assert {name: found for name, found in selected.items() if found} == {
        f"export_actions_{name}": {export_key(settings, name)} for name in DESTINATIONS
    }


def test_the_help_names_every_destination() -> None:
    output = CliRunner().invoke(cli, ["export", "actions", "--help"]).output
    assert all(name in output for name in DESTINATIONS)
    assert sorted(DESTINATIONS) == ["csv", "google", "klaviyo", "mailchimp", "meta", "parquet", "webhook"]
