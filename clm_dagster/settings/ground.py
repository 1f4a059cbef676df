"""What a user may choose of the shop and of the platform, in groups; every domain may read it.

Belongs here: settings that more than one domain reads, and those of no domain. Does not: what is one domain's own (its
`settings.py`), or where a value comes from (`loading`).
"""

import os
from datetime import date
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from clm_dagster.settings.fields import SettingsGroup, Variable

_PACKAGE_DIR = Path(__file__).resolve().parents[1]
# The checkout. An installed wheel has none: only tests read it.
PROJECT_DIR = _PACKAGE_DIR.parent


def shipped_sql_dir() -> Path:
    """Return the SQL project that comes with this code: a folder of the wheel, or of the checkout."""
    in_wheel = _PACKAGE_DIR / "dbt_like_sql"
    return in_wheel if in_wheel.is_dir() else PROJECT_DIR / "dbt_like_sql"


class ShopSettings(SettingsGroup):
    """The shop: its files, its dates, its clock."""

    source: str = Field(
        "online_retail_ii",
        description="The shop's adapter: the name of a folder in dbt_like_sql/adapters.",
    )
    input: str = Field("data/inbox", description="Where the shop's files arrive: a file, a folder or a glob.")
    start_date: Variable[date] = Field(
        date(2024, 1, 1), description="First day of the shop's history; earlier rows are rejected."
    )
    end_date: date | None = Field(
        None,
        description="Exclusive end of a historical source; empty for a shop that is still open.",
    )
    timezone: str = Field(
        "Europe/London", description="The shop's time zone: days begin and schedules tick in it."
    )
    margin: float = Field(
        0.3,
        gt=0,
        le=1,
        description="Margin on net revenue where the shop does not say what its products cost.",
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
            raise ValueError(f"{value!r} is no time zone; expected one like Europe/London") from error
        return value

    @model_validator(mode="after")
    def _dates_in_order(self) -> "ShopSettings":
        if self.end_date is not None and self.end_date <= self.start_date:
            raise ValueError(
                f"end_date {self.end_date} is not after start_date {self.start_date}; "
                "end_date is exclusive, the day after the last"
            )
        return self

    @cached_property
    def zone(self) -> ZoneInfo:
        """The shop's time zone."""
        return ZoneInfo(self.timezone)

    @property
    def is_live(self) -> bool:
        """Whether the shop is still open: no end_date is known."""
        return self.end_date is None


class MachineSettings(SettingsGroup):
    """What a step may use of the machine."""

    memory_limit: str = Field(
        "1GB", description="Memory DuckDB may use before it spills to disk, as DuckDB writes it."
    )
    threads: int = Field(
        0, ge=0, description="Threads that DuckDB, and making lists, may use; 0: one a processor."
    )
    lock_timeout: float = Field(
        600.0, gt=0, description="Seconds a step waits for the warehouse before it gives up."
    )


class ScheduleSettings(SettingsGroup):
    """When schedules and sensors look, and who hears of a failure."""

    lookback_days: int = Field(
        3, ge=0, description="Days before the newest that the daily schedule reads again."
    )
    daily_hour: int = Field(
        3, ge=0, le=23, description="Hour of the day, shop-local, at which the schedules tick."
    )
    sensor_seconds: int = Field(
        60, ge=30, description="Seconds between two looks of the sensor at the input."
    )
    webhook_url: str = Field("", description="Where a failed run is posted as JSON; empty for nowhere.")


class TrainingSettings(SettingsGroup):
    """Which snapshots models are trained at and score, and how much a contest reads."""

    train_count: int = Field(
        3, ge=0, description="How many of the newest mature training snapshots `clm run` trains models at."
    )
    train_every_weeks: int = Field(
        13, ge=1, description="Weeks from one training snapshot to the next; 13 is quarterly."
    )
    score_count: int = Field(
        8, ge=0, description="How many of the newest snapshots `clm run` scores with the models."
    )
    contest_spacing_weeks: int = Field(
        4, ge=1, description="Weeks between the snapshots that a contest trains on."
    )
    contest_snapshots: int = Field(
        13,
        ge=2,
        description="How many snapshots a contest trains on at most; 13 of 4 weeks are a year.",
    )
    train_customers: int = Field(
        50_000,
        ge=100,
        description="Of a larger shop, contests read about so many customers, always the same.",
    )


class GroundSettings(TrainingSettings, ScheduleSettings, MachineSettings, ShopSettings):
    """All of them, and the places of everything that the project keeps."""

    data_dir: Path = Field(
        Path("data"),
        description="Folder of all state: warehouse, landing area, Dagster's and MLflow's stores.",
    )
    sql_dir: Path = Field(shipped_sql_dir(), description="The folder of SQL models, adapters and seeds.")

    @property
    def warehouse_path(self) -> Path:
        """The DuckDB file that steps write."""
        return self.data_dir.resolve() / "clm.duckdb"

    @property
    def published_path(self) -> Path:
        """The DuckDB file that people read."""
        return self.data_dir.resolve() / "published" / "clm.duckdb"

    @property
    def landing_dir(self) -> Path:
        """The source's files as day-partitioned Parquet."""
        return self.data_dir.resolve() / "landing" / self.source

    @property
    def dagster_home(self) -> Path:
        """Dagster's own state."""
        return self.data_dir.resolve() / "dagster"

    @property
    def tracking_uri(self) -> str:
        """MLflow's store: MLflow's own variable where it is set, else a file in the data folder."""
        own = os.environ.get("MLFLOW_TRACKING_URI", "")
        return own or f"sqlite:///{self.data_dir.resolve() / 'mlflow.db'}"

    @property
    def artifact_dir(self) -> Path:
        """Models and pictures of an MLflow store that is a file."""
        return self.data_dir.resolve() / "mlartifacts"

    @property
    def adapter_dir(self) -> Path:
        """The folder of the source's adapter."""
        return self.sql_dir.resolve() / "adapters" / self.source
