"""The value of a setting, its origin, and the validation of values."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from clm_dagster.domains.churn.settings import ChurnSettings
from clm_dagster.domains.lifecycle.settings import LifecycleSettings
from clm_dagster.settings import (
    SettingsError,
    known_settings,
    load_settings,
    origins,
    record_last_run,
    record_settings,
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_setting_has_a_valid_default_and_a_description() -> None:
    settings = load_settings()
    assert settings.source == "online_retail_ii"
    for name, setting in known_settings().items():
        assert setting.description.endswith("."), name
        assert not setting.info.is_required(), name


def test_the_first_origin_with_a_value_has_priority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start() -> tuple[date, str]:
        settings = load_settings(data_dir=tmp_path)
        return settings.start_date, origins(settings)["start_date"]

    # The historical source knows its own dates.
    assert start() == (date(2009, 12, 1), "adapter online_retail_ii")
    record = {
        "source": "online_retail_ii",
        "input": "x",
        "start_date": "2010-01-01",
        "end_date": "2011-12-10",
    }
    (tmp_path / "last_run.json").write_text(json.dumps(record))
    assert start() == (date(2010, 1, 1), f"last run, {tmp_path / 'last_run.json'}")
    monkeypatch.setenv("CLM_START_DATE", "2010-06-01")
    assert start() == (date(2010, 6, 1), "environment, CLM_START_DATE")
    settings = load_settings(data_dir=tmp_path, start_date="2011-01-01")
    assert (settings.start_date, origins(settings)["start_date"]) == (
        date(2011, 1, 1),
        "set by the program",
    )
    assert origins(settings)["threads"] == "default"


def test_the_last_run_is_used_for_its_source_only(tmp_path: Path) -> None:
    record_last_run(load_settings(source="generic", data_dir=tmp_path, input="here", start_date="2020-01-01"))
    again = load_settings(data_dir=tmp_path)
    assert (again.source, again.input, again.start_date) == ("generic", "here", date(2020, 1, 1))
    other = load_settings(data_dir=tmp_path, source="online_retail_ii")
    assert (other.input, other.start_date) == ("data/inbox", date(2009, 12, 1))


def test_recorded_settings_are_read_back(tmp_path: Path) -> None:
    for end in (None, date(2021, 1, 1)):
        made = load_settings(source="generic", data_dir=tmp_path, start_date="2020-01-01", end_date=end)
        record_last_run(made)
        again = load_settings(data_dir=tmp_path)
        assert (again.start_date, again.end_date, again.is_live) == (made.start_date, end, end is None)


def test_settings_of_a_data_folder_hold_for_its_source_unless_the_environment_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_settings(tmp_path, "generic", {"score_count": "5", "lookback_days": "9"})
    monkeypatch.setenv("CLM_LOOKBACK_DAYS", "4")
    found = load_settings(data_dir=tmp_path, source="generic")
    assert (found.score_count, found.lookback_days) == (5, 4)
    assert origins(found)["score_count"] == f"last run, {tmp_path / 'last_run.json'}"
    record_last_run(found)
    assert load_settings(data_dir=tmp_path).score_count == 5
    assert load_settings(data_dir=tmp_path, source="online_retail_ii").score_count == 8
    record_last_run(load_settings(data_dir=tmp_path, source="online_retail_ii"))
    assert load_settings(data_dir=tmp_path).score_count == 8


def test_an_empty_end_date_means_an_open_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLM_END_DATE", "")
    settings = load_settings(source="generic")
    assert settings.end_date is None and settings.is_live
    assert origins(settings)["end_date"] == "environment, CLM_END_DATE"


def test_places_are_derived_from_the_data_folder(tmp_path: Path) -> None:
    settings = load_settings(source="generic", data_dir="here")
    root = tmp_path / "here"
    assert settings.warehouse_path == root / "clm.duckdb"
    assert settings.published_path == root / "published" / "clm.duckdb"
    assert settings.landing_dir == root / "landing" / "generic"
    assert settings.dagster_home == root / "dagster"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CLM_START_DATE", "yesterday", r"CLM_START_DATE: .*\(found 'yesterday'\)"),
        (
            "CLM_TIMEZONE",
            "Mars/Olympus",
            r"CLM_TIMEZONE: .*'Mars/Olympus' is not a time zone; expected a name like",
        ),
        ("CLM_LOOKBACK_DAYS", "-1", r"CLM_LOOKBACK_DAYS: .*greater than or equal to 0"),
        ("CLM_DAILY_HOUR", "24", r"CLM_DAILY_HOUR: .*less than or equal to 23"),
        ("CLM_LOCK_TIMEOUT", "0", r"CLM_LOCK_TIMEOUT: .*greater than 0"),
        ("CLM_END_DATE", "2009-12-01", r"end_date 2009-12-01 is not after start_date 2009-12-01"),
        (
            "CLM_LOST_QUANTILE",
            "0.8",
            r"active_quantile 0.8 is not below lost_quantile 0.8; a customer is at risk",
        ),
        (
            "CLM_SOURCE",
            "amazn",
            r"source 'amazn' has no adapter.*Known sources: amazon, cdnow, .*generic, .*online_retail_ii",
        ),
    ],
)
def test_an_invalid_value_is_an_error(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message):
        load_settings()


def test_all_invalid_values_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLM_THREADS", "many")
    monkeypatch.setenv("CLM_DAILY_HOUR", "99")
    with pytest.raises(SettingsError, match=r"CLM_THREADS.*; CLM_DAILY_HOUR|CLM_DAILY_HOUR.*; CLM_THREADS"):
        load_settings()


def test_a_broken_record_of_the_last_run_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "last_run.json").write_text("{")
    with pytest.raises(
        SettingsError, match=r"last_run\.json is not valid JSON .*; delete it or run `clm run`"
    ):
        load_settings(data_dir=tmp_path)


def test_settings_are_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings(source="generic").source = "other"


# ------------------------------------------------------------------------------------- domains


def test_settings_of_a_domain_have_flat_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CLM_CHURN_HORIZON_DAYS", "30")
    settings = load_settings(source="generic", drift_warn=0.02)
    assert settings.of(ChurnSettings).horizon_days == 30
    assert settings.of(ChurnSettings).drift_warn == 0.02
    came_from = origins(settings)
    assert came_from["churn_horizon_days"] == "environment, CLM_CHURN_HORIZON_DAYS"
    assert (came_from["drift_warn"], came_from["drift_fail"]) == ("set by the program", "default")
    assert settings.flat()["churn_horizon_days"] == 30


def test_replaced_values_are_validated(tmp_path: Path) -> None:
    settings = load_settings(source="generic", churn_horizon_days=30)
    other = settings.replace(active_quantile=0.5, data_dir=tmp_path)
    assert (other.of(LifecycleSettings).active_quantile, other.data_dir) == (0.5, tmp_path)
    assert other.of(ChurnSettings).horizon_days == 30
    assert settings.of(LifecycleSettings).active_quantile == 0.8
    with pytest.raises(SettingsError, match=r"active_quantile 0.99 is not below lost_quantile 0.95"):
        settings.replace(active_quantile=0.99)
    with pytest.raises(SettingsError, match="unknown setting churn_horizon; `clm settings` prints"):
        settings.replace(churn_horizon=30)


def test_sql_variables_are_the_marked_settings() -> None:
    variables = load_settings(source="generic", start_date="2020-01-01", demand_keys=3).sql_variables()
    assert variables == {
        "start_date": "2020-01-01",
        "actions_consent": "stated",
        "actions_control_arms": "control,holdout,global_holdout",
        "actions_window_days": 30,
        "active_quantile": 0.8,
        "margin": 0.3,
        "lost_quantile": 0.95,
        "churn_horizon_days": 90,
        "churn_active_days": 365,
        "value_horizon_days": 90,
        "demand_keys": 3,
        "demand_products": 100,
        "train_every_weeks": 13,
        "rfm_cutoffs": "weekly",
        "identity_hub": 10,
        "identity_guests": "email_hash,phone_hash",
        "identity_devices": "confirmed",
        "personas_grade_days": 90,
        "recommend_horizon_days": 60,
        "recommend_active_days": 90,
    }


@pytest.fixture
def add_domain(new_domain: Callable[[str], Path]) -> Callable[[str, str], None]:
    """Make a domain in a folder of its own that has these settings."""

    def add(name: str, fields: str) -> None:
        (new_domain(name) / "settings.py").write_text(
            "from clm_dagster.settings import DomainSettings, OwnName, Variable\n"
            "from pydantic import Field\n"
            f"class Own(DomainSettings):\n    {fields}\n"
        )

    return add


def test_settings_of_a_new_domain_are_found(
    add_domain: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_domain("loyalty", 'points: Variable[int] = Field(5, description="Points of an order.")')
    monkeypatch.setenv("CLM_LOYALTY_POINTS", "7")
    settings = load_settings(source="generic")
    assert settings.flat()["loyalty_points"] == settings.sql_variables()["loyalty_points"] == 7
    monkeypatch.setenv("CLM_LOYALTY_POINTS", "many")
    with pytest.raises(SettingsError, match=r"CLM_LOYALTY_POINTS: .*\(found 'many'\)"):
        load_settings(source="generic")


@pytest.mark.parametrize(
    ("fields", "variable"),
    [
        ('drift_warn: OwnName[float] = Field(0.1, description="Mine.")', "CLM_DRIFT_WARN"),
        ('data_dir: OwnName[str] = Field("", description="Mine.")', "CLM_DATA_DIR"),
    ],
)
def test_a_duplicate_setting_is_an_error(
    fields: str, variable: str, add_domain: Callable[[str, str], None]
) -> None:
    add_domain("loyalty", fields)
    with pytest.raises(SettingsError, match=rf"{variable} is defined by both .* and .*loyalty.settings.Own"):
        load_settings(source="generic")
