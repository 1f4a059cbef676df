"""Settings of the shop and of the platform, in groups. Every domain may read them.

Belongs here: settings that belong to no domain or that more than one domain reads. Does not: the settings of one domain
(its `settings.py`), reading values (`loading`).
"""

import os
import re
from collections.abc import Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from clm_dagster.settings.alerting import AlertSettings
from clm_dagster.settings.fields import SettingsError, SettingsGroup, Variable
from clm_dagster.settings.lake import LakeSettings
from clm_dagster.settings.spark import SparkSettings

# Where the steps of a run are executed, by the setting `executor`.
Executor = Literal["in_process", "multiprocess"]
IN_PROCESS: Executor = "in_process"
MULTIPROCESS: Executor = "multiprocess"

_PACKAGE_DIR = Path(__file__).resolve().parents[1]
# The checkout. An installed wheel has none: only tests read it.
PROJECT_DIR = _PACKAGE_DIR.parent
# Values of CLM_KEEP_SNAPSHOTS besides a number of days, and the days of the second one.
_ALL, _MONTHLY, _YEAR = "all", "monthly", 365


def shipped_sql_dir() -> Path:
    """Return the SQL project that comes with this code: a folder of the wheel, or of the checkout."""
    in_wheel = _PACKAGE_DIR / "dbt_like_sql"
    return in_wheel if in_wheel.is_dir() else PROJECT_DIR / "dbt_like_sql"


def adapter_folders(sql_dir: Path, adapters_dir: Path | None) -> list[Path]:
    """Return the folders that hold adapters: that of the SQL project, and the shop's own if it has one."""
    own = [] if adapters_dir is None else [adapters_dir.expanduser().resolve()]
    return list(dict.fromkeys([sql_dir.resolve() / "adapters", *own]))


def adapter_folder(source: str, folders: Sequence[Path]) -> Path:
    """Return the folder of a source's adapter. Raise SettingsError if there is none, or one in two of the folders."""
    found = [folder / source for folder in folders if source and (folder / source / "adapter.yml").exists()]
    if len(found) > 1:
        raise SettingsError(
            f"two adapters are called {source!r}: {found[0]} and {found[1]}. Rename the second and set CLM_SOURCE"
        )
    if not found:
        known = sorted(path.parent.name for folder in folders for path in folder.glob("*/adapter.yml"))
        raise SettingsError(
            f"source {source!r} has no adapter: {' and '.join(str(f / source / 'adapter.yml') for f in folders)} "
            f"{'does' if len(folders) == 1 else 'do'} not exist. Known sources: {', '.join(known) or 'none'}. "
            "`clm init NAME` makes a new one; see 'Bring your own shop' in the documentation."
        )
    return found[0]


class ShopSettings(SettingsGroup):
    """The shop: its files, its dates, its time zone."""

    source: str = Field(
        "online_retail_ii",
        description="The shop's adapter, the name of a folder in dbt_like_sql/adapters or CLM_ADAPTERS_DIR.",
    )
    input: str = Field("data/inbox", description="The shop's input files: a file, a folder or a glob.")
    start_date: Variable[date] = Field(
        date(2024, 1, 1), description="First day of the shop's history; earlier rows are rejected."
    )
    end_date: date | None = Field(
        None,
        description="Exclusive end of a historical source; empty if the shop is still open.",
    )
    timezone: str = Field("Europe/London", description="The shop's time zone, used for days and schedules.")
    currency: str = Field(
        "",
        description="The shop's currency, a code such as EUR; needed if events have several currencies.",
    )
    no_customer: str = Field(
        "0",
        description="Customer ids that mean a guest, separated by commas; nan, NULL, None, #N/A, \\N always do.",
    )
    margin: Variable[float] = Field(
        0.3,
        gt=0,
        le=1,
        description="Margin on net revenue where the shop's products have no unit cost.",
    )

    @field_validator("end_date", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{value!r} is not a time zone; expected a name like Europe/London") from error
        return value

    @field_validator("currency")
    @classmethod
    def _currency_code(cls, value: str) -> str:
        code = value.strip().upper()
        if code and not (len(code) == 3 and code.isalpha() and code.isascii()):
            raise ValueError(f"{value!r} is not a currency; expected a code of three letters like EUR")
        return code

    @model_validator(mode="after")
    def _dates_in_order(self) -> "ShopSettings":
        if self.end_date is not None and self.end_date <= self.start_date:
            raise ValueError(
                f"end_date {self.end_date} is not after start_date {self.start_date}; "
                "end_date is exclusive: the day after the last day"
            )
        return self

    @cached_property
    def zone(self) -> ZoneInfo:
        """The shop's time zone."""
        return ZoneInfo(self.timezone)

    @property
    def guest_ids(self) -> list[str]:
        """The customer ids that mean a guest."""
        return [token for token in (part.strip() for part in self.no_customer.split(",")) if token]

    @property
    def is_live(self) -> bool:
        """Whether the shop is still open, that is, has no end_date."""
        return self.end_date is None


class MachineSettings(SettingsGroup):
    """Resources of the machine that a step may use."""

    memory_limit: str = Field(
        "1GB", description="Memory limit of DuckDB before it spills to disk, in DuckDB's notation."
    )
    threads: int = Field(
        0, ge=0, description="Threads for DuckDB and for product lists; 0 means one per processor."
    )
    processes: int = Field(
        0,
        ge=0,
        description="Processes that train and score models side by side; 0 means one per processor, 1 none.",
    )
    executor: Executor = Field(
        IN_PROCESS,
        description=(
            "How runs of the UI, schedules and `dg launch` execute steps: `in_process`, all in one process, or "
            "`multiprocess`, each in its own, which a small shop's steps are too short for. `clm run` ignores it."
        ),
    )
    shard_customers: int = Field(
        100_000,
        ge=0,
        description="Customers whose scores and actions are in memory at a time; 0 for all. Rows do not depend on it.",
    )
    shards_as_steps: bool = Field(
        False,
        description="Whether scores and actions have a step of the run for each shard, side by side by the executor.",
    )
    host_id: str = Field(
        "",
        description=(
            "In the environment only: the name of a container that is restarted, so that it knows the runs that were "
            "killed with it. No two containers may share it. Empty: the machine and container itself."
        ),
    )
    lock_timeout: float = Field(
        600.0, gt=0, description="Seconds that a step waits for the lock of the warehouse before it fails."
    )


class ScheduleSettings(SettingsGroup):
    """Schedules and sensors."""

    automation: Literal["schedules", "declarative"] = Field(
        "schedules",
        description="What requests due runs: schedules, or declarative (Dagster's automation conditions).",
    )
    lookback_days: int = Field(
        3, ge=0, description="Days before the newest day that the daily schedule loads again."
    )
    daily_hour: int = Field(
        3, ge=0, le=23, description="Hour of the day, in the shop's time zone, from which the schedules run."
    )
    catch_up_days: int = Field(
        91, ge=1, description="Maximum number of days that one run of a schedule or a sensor loads."
    )
    catch_up_snapshots: int = Field(
        13,
        ge=1,
        description="Maximum number of snapshots that one run of a schedule or a sensor builds or scores.",
    )
    sensor_seconds: int = Field(
        60, ge=30, description="Minimum number of seconds between two evaluations of a sensor."
    )


class TrainingSettings(SettingsGroup):
    """Snapshots at which models are trained and score, and the amount of data per training."""

    train_count: int = Field(
        3, ge=0, description="Number of newest mature training snapshots at which models are trained."
    )
    train_every_weeks: Variable[int] = Field(
        13, ge=1, description="Weeks between two training snapshots; 13 is quarterly."
    )
    score_count: int = Field(
        8, ge=0, description="Number of newest snapshots that are scored with the models."
    )
    graded_horizons: int = Field(
        3,
        ge=0,
        description="Number of past horizons with a snapshot that `clm run` scores to grade the models; 0 for none.",
    )
    contest_spacing_weeks: int = Field(
        4, ge=1, description="Weeks between the snapshots of the training data of one model."
    )
    contest_snapshots: int = Field(
        13,
        ge=2,
        description="Maximum number of snapshots in the training data of one model; 13 times 4 weeks is a year.",
    )
    train_customers: int = Field(
        50_000,
        ge=100,
        description="Approximate maximum number of customers in the training data; a larger shop is sampled.",
    )


class RetentionSettings(SettingsGroup):
    """How long `clm vacuum` keeps what is no longer needed."""

    keep_snapshots: str = Field(
        "all",
        description="Snapshots that are kept: all, monthly (the older ones than a year only monthly), or days instead "
        "of that year.",
    )
    keep_runs: int = Field(
        0,
        ge=0,
        description="Days that `clm vacuum` keeps finished runs of Dagster and their events; 0 for all.",
    )
    keep_mlflow_runs: int = Field(
        0,
        ge=0,
        description="Days that `clm vacuum` keeps MLflow runs that no table of trainings names; 0 for all.",
    )

    @field_validator("keep_snapshots")
    @classmethod
    def _known_retention(cls, value: str) -> str:
        text = value.strip().lower()
        if text in (_ALL, _MONTHLY) or (text.isdigit() and int(text) > 0):
            return text
        raise ValueError(f"{value!r} is not a retention; expected all, monthly or a number of days like 730")

    @property
    def keep_snapshot_days(self) -> int | None:
        """After how many days snapshots are thinned to one a month; None for never."""
        named = {_ALL: None, _MONTHLY: _YEAR}
        return named[self.keep_snapshots] if self.keep_snapshots in named else int(self.keep_snapshots)


class ServingSettings(SettingsGroup):
    """What serves where no trained model passed its gate."""

    serve_refused_models: bool = Field(
        False,
        description="Whether a model that did not pass its gate serves, instead of the naive baseline. Not advised.",
    )


class SharedSettings(
    SparkSettings,
    ServingSettings,
    RetentionSettings,
    TrainingSettings,
    AlertSettings,
    ScheduleSettings,
    LakeSettings,
    MachineSettings,
    ShopSettings,
):
    """All settings of the shop and the platform, and the paths of all stored data."""

    data_dir: Path = Field(
        Path("data"),
        description="Folder of all stored data: warehouse, landing area, state of Dagster and MLflow.",
    )
    sql_dir: Path = Field(shipped_sql_dir(), description="The folder of SQL models, adapters and seeds.")
    adapters_dir: Path | None = Field(
        None, description="A folder of own adapters, beside those of the SQL folder; empty for none."
    )

    asset_prefix: str = Field(
        "",
        description="The shop's name in a deployment of several: first part of asset keys, jobs, models; or empty.",
    )

    @field_validator("asset_prefix")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if value and not re.fullmatch("[A-Za-z0-9_]+", value):
            raise ValueError(
                f"{value!r} is not a prefix; expected letters, digits and underscores like my_shop"
            )
        return value

    @field_validator("data_dir")
    @classmethod
    def _is_utf8(cls, value: Path) -> Path:
        try:
            str(value).encode()
        except UnicodeEncodeError as error:
            raise ValueError("the name is not UTF-8, which DuckDB needs; choose another folder") from error
        return value

    @field_validator("adapters_dir", mode="before")
    @classmethod
    def _empty_is_no_folder(cls, value: object) -> object:
        return None if value == "" else value

    @property
    def warehouse_path(self) -> Path:
        """The DuckDB file that steps write."""
        return self.data_dir.resolve() / "clm.duckdb"

    @property
    def published_path(self) -> Path:
        """The published copy of the DuckDB file, which users read."""
        return self.data_dir.resolve() / "published" / "clm.duckdb"

    @property
    def landing_dir(self) -> Path:
        """The landing area: the source's files as day-partitioned Parquet, in the folder that all machines see."""
        if self.data_path and not self.is_data_remote:
            return Path(self.data_path).expanduser().resolve() / self.catalog_schema / "landing" / self.source
        return self.data_dir.resolve() / "landing" / self.source

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME, the state of Dagster."""
        return self.data_dir.resolve() / "dagster"

    @property
    def tracking_uri(self) -> str:
        """The MLflow store: MLFLOW_TRACKING_URI if it is set, else a file in the data folder."""
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        return uri or f"sqlite:///{self.data_dir.resolve() / 'mlflow.db'}"

    @property
    def artifact_dir(self) -> Path:
        """Models and figures of an MLflow store that is a file."""
        return self.data_dir.resolve() / "mlartifacts"

    @property
    def adapter_dir(self) -> Path:
        """The folder of the source's adapter. Raise SettingsError."""
        return adapter_folder(self.source, self.adapter_folders)

    @property
    def adapter_folders(self) -> list[Path]:
        """The folders that hold adapters: the shipped ones first."""
        return adapter_folders(self.sql_dir, self.adapters_dir)
