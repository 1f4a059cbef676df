"""The command line: options are settings, and errors are messages for users."""

import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from clm_dagster.cli import cli
from clm_dagster.commands.simulated import demo_folder
from clm_dagster.settings import known_settings, load_settings, misspelt_variables
from clm_dagster.settings_view import print_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    before = dict(os.environ)
    monkeypatch.setenv("CLM_DATA_DIR", str(tmp_path / "data"))
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]


def test_settings_prints_the_origin_of_each_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLM_LOOKBACK_DAYS", "9")
    result = CliRunner().invoke(cli, ["settings"])  # not a terminal, whose width would be 80
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.output.splitlines() if line.startswith("CLM_")}
    assert set(lines) == {setting.variable for setting in known_settings().values()}
    assert "environment, CLM_LOOKBACK_DAYS" in lines["CLM_LOOKBACK_DAYS"]
    assert "adapter online_retail_ii" in lines["CLM_START_DATE"]
    assert "default" in lines["CLM_MEMORY_LIMIT"]


def test_settings_are_whole_in_a_narrow_terminal() -> None:
    screen = StringIO()
    print_settings(Console(file=screen, force_terminal=True, width=80, color_system=None), load_settings())
    lines = screen.getvalue().splitlines()
    for setting in known_settings().values():
        assert any(line.startswith(f"{setting.variable} = ") for line in lines), setting.variable
    assert all(len(line) <= 80 or line.startswith("CLM_") for line in lines)


def test_a_variable_that_is_no_setting_is_a_warning_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CLM_LOKBACK_DAYS", "9")
    result = CliRunner().invoke(cli, ["settings"])
    assert result.exit_code == 0
    assert (
        "CLM_LOKBACK_DAYS, which is no setting and is ignored; did you mean CLM_LOOKBACK_DAYS?"
        in result.stderr
    )
    assert misspelt_variables({"CLM_SOURCE": "", "clm_input": "", "CLM_QQQ": "", "PATH": ""}) == {
        "CLM_QQQ": None
    }


def test_summary_before_any_run_says_what_to_do() -> None:
    result = CliRunner().invoke(cli, ["summary"])
    assert result.exit_code != 0
    assert "nothing has been published yet" in str(result.exception)


def test_run_takes_dates_as_settings(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["run", "--start-date", "2024-02-01", "--end-date", "2024-01-01"])
    assert "is not after start_date" in str(result.exception)


def test_an_invalid_date_is_an_error() -> None:
    result = CliRunner().invoke(cli, ["run", "--start-date", "soon"])
    assert result.exit_code == 2
    assert "soon" in result.output


def test_simulate_writes_a_shop_and_prints_the_command_that_loads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clm_dagster.command_line.console.width", 220)
    out, picture = tmp_path / "shop", tmp_path / "shop.png"
    size = ["--customers", "200", "--days", "30", "--products", "12", "--start-date", "2023-05-01"]
    result = CliRunner().invoke(cli, ["simulate", "--out", str(out), *size, "--figure", str(picture)])
    assert result.exit_code == 0, result.output
    assert (out / "inbox" / "events").is_dir() and (out / "truth" / "customers.parquet").exists()
    assert picture.read_bytes().startswith(b"\x89PNG")
    command = result.output.splitlines()[-1]
    assert command.strip() == (
        f"clm run --source generic --input {out}/inbox --start-date 2023-05-01 --end-date 2023-05-31"
    )
    again = CliRunner().invoke(cli, ["simulate", "--out", str(out), *size, "--seed", "1"])
    assert "other parameters" in str(again.exception)


def test_the_demo_has_one_folder_also_where_it_is_set_for_all_commands() -> None:
    assert demo_folder(Path("data")) == demo_folder(Path("data/demo")) == Path("data/demo")


@pytest.mark.slow
def test_the_demo_runs_in_a_separate_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clm_dagster.command_line.console.width", 220)
    result = CliRunner().invoke(cli, ["demo", "--customers", "150", "--days", "24", "--products", "12"])
    assert result.exit_code == 0, result.output
    home = tmp_path / "data" / "demo"
    assert (home / "published" / "clm.duckdb").exists() and (home / "shop" / "truth").is_dir()
    assert f"CLM_DATA_DIR={home} clm dev" in result.output
    assert not (tmp_path / "data" / "clm.duckdb").exists()
