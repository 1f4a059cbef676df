"""The one typed home of every setting, and where each value came from.

Belongs here: what a user may choose. Does not: constants of a model, rules that people edit (those
are seeds in `dbt_like_sql/seeds`), anything that is derived from data. Nothing else in the package
reads the environment.

A value comes from the first of: a `CLM_` environment variable, the record of the last `clm run` in
the data folder (so that the UI shows the shop that was run), the source's own adapter (a historical
source knows its dates), the default.
"""

import json
import os
from collections.abc import Collection
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

PROJECT_DIR = Path(__file__).resolve().parent.parent
LAST_RUN_FILE = "last_run.json"
# What `clm run` records: the shop it ran, not how it ran it.
LAST_RUN_FIELDS = ("source", "input", "start_date", "end_date")


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the message names it and says what would do."""


class Settings(BaseSettings):
    """Every choice a user has. Each field is the environment variable `CLM_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="CLM_", frozen=True, extra="ignore")

    source: str = Field(
        "online_retail_ii",
        description="The shop's adapter: the name of a folder in dbt_like_sql/adapters.",
    )
    input: str = Field("data/inbox", description="Where the shop's files arrive: a file, a folder or a glob.")
    start_date: date = Field(
        date(2024, 1, 1), description="First day of the shop's history; earlier rows are rejected."
    )
    end_date: date | None = Field(
        None,
        description="Exclusive end of a historical source; empty for a shop that is still open.",
    )
    timezone: str = Field(
        "Europe/London", description="The shop's time zone: days begin and schedules tick in it."
    )
    data_dir: Path = Field(
        Path("data"),
        description="Folder of all state: warehouse, landing area, Dagster's and MLflow's stores.",
    )
    sql_dir: Path = Field(
        PROJECT_DIR / "dbt_like_sql", description="The folder of SQL models, adapters and seeds."
    )
    memory_limit: str = Field(
        "1GB", description="Memory DuckDB may use before it spills to disk, as DuckDB writes it."
    )
    threads: int = Field(
        0, ge=0, description="Threads that DuckDB, and making lists, may use; 0: one a processor."
    )
    lock_timeout: float = Field(
        600.0, gt=0, description="Seconds a step waits for the warehouse before it gives up."
    )
    lookback_days: int = Field(
        3, ge=0, description="Days before the newest that the daily schedule reads again."
    )
    daily_hour: int = Field(
        3, ge=0, le=23, description="Hour of the day, shop-local, at which the schedules tick."
    )
    sensor_seconds: int = Field(
        60, ge=30, description="Seconds between two looks of the sensor at the input."
    )
    train_count: int = Field(
        3, ge=0, description="How many of the newest mature training snapshots `clm run` trains models at."
    )
    train_every_weeks: int = Field(
        13, ge=1, description="Weeks from one training snapshot to the next; 13 is quarterly."
    )
    score_count: int = Field(
        8, ge=0, description="How many of the newest snapshots `clm run` scores with the models."
    )
    active_quantile: float = Field(
        0.8,
        gt=0,
        lt=1,
        description="A customer is at risk once this share of those who come back within a year have done so.",
    )
    lost_quantile: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="A customer is lost once this share of those who come back within a year have done so.",
    )
    churn_horizon_days: int = Field(
        90, ge=1, description="Days after as_of in which a customer who does not order has churned."
    )
    churn_active_days: int = Field(
        365, ge=1, description="Days before as_of in which a customer must have ordered to be asked about."
    )
    contest_spacing_weeks: int = Field(
        4, ge=1, description="Weeks between the snapshots that a contest trains on."
    )
    contest_snapshots: int = Field(
        13,
        ge=2,
        description="How many snapshots a contest trains on at most; 13 of 4 weeks are a year.",
    )
    churn_leak_auc: float = Field(
        0.97, gt=0.5, le=1, description="An AUC above this is taken for a leak: the model scores nobody."
    )
    churn_calibration_limit: float = Field(
        0.08,
        gt=0,
        lt=1,
        description="No model becomes champion whose expected calibration error is above this.",
    )
    margin: float = Field(
        0.3,
        gt=0,
        le=1,
        description="Margin on net revenue where the shop does not say what its products cost.",
    )
    train_customers: int = Field(
        50_000,
        ge=100,
        description="Of a larger shop, contests read about so many customers, always the same.",
    )
    drift_warn: float = Field(
        0.1, gt=0, description="A stability index, or a change of a missing rate, that warns of a feature."
    )
    drift_fail: float = Field(0.25, gt=0, description="One that fails the check.")
    grade_warn: float = Field(
        0.03, gt=0, description="How much worse than promised (AUC, calibration error) graded scores warn."
    )
    grade_fail: float = Field(0.08, gt=0, description="How much worse fails the check.")
    value_horizon_days: int = Field(
        90, ge=1, description="Days after as_of in which a customer's spend is forecast."
    )
    demand_keys: int = Field(
        10,
        ge=1,
        description="Of each level, so many countries, channels, categories have forecasts of their own.",
    )
    demand_products: int = Field(100, ge=0, description="So many products have forecasts of their own.")
    demand_lstm: bool = Field(
        False,
        description="Whether an LSTM takes part in the contest of forecasts; it needs the extra `lstm`.",
    )
    reorder_lead_days: int = Field(
        7, ge=1, le=28, description="Days from ordering a product to having it on the shelf."
    )
    reorder_service_level: float = Field(
        0.95, gt=0.5, lt=1, description="Probability that a product does not run out in a lead time."
    )
    recommend_horizon_days: int = Field(
        60, ge=1, description="Days after as_of in which a purchase of what was recommended counts."
    )
    recommend_count: int = Field(10, ge=1, description="Places on each list of recommendations.")
    recommend_active_days: int = Field(
        90, ge=1, description="A product without a sale in so many days before as_of is not recommended."
    )
    rules_days: int = Field(365, ge=2, description="Days before as_of whose baskets say what goes with what.")
    rules_min_support: float = Field(
        0.01, gt=0, le=1, description="The share of all baskets that products must be in together."
    )
    rules_min_confidence: float = Field(
        0.2,
        ge=0,
        le=1,
        description="The share of baskets with a rule's antecedent that must hold its consequent.",
    )
    webhook_url: str = Field("", description="Where a failed run is posted as JSON; empty for nowhere.")

    @field_validator("end_date", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
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
    def _check(self) -> "Settings":
        if self.end_date is not None and self.end_date <= self.start_date:
            raise ValueError(
                f"end_date {self.end_date} is not after start_date {self.start_date}; "
                "end_date is exclusive, the day after the last"
            )
        if self.active_quantile >= self.lost_quantile:
            raise ValueError(
                f"active_quantile {self.active_quantile} is not below lost_quantile {self.lost_quantile}; "
                "a customer is at risk before he is lost"
            )
        for kind in ("drift", "grade"):
            warn, fail = getattr(self, f"{kind}_warn"), getattr(self, f"{kind}_fail")
            if warn > fail:
                raise ValueError(f"{kind}_warn {warn} is above {kind}_fail {fail}; a warning comes first")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the places a value may come from; the first that has one wins."""
        return (
            init_settings,
            env_settings,
            _LastRun(settings_cls),
            _Adapter(settings_cls),
        )

    # ---------------------------------------------------------------- derived places and times

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

    @cached_property
    def zone(self) -> ZoneInfo:
        """The shop's time zone."""
        return ZoneInfo(self.timezone)

    @property
    def is_live(self) -> bool:
        """Whether the shop is still open: no end_date is known."""
        return self.end_date is None


class _LastRun(PydanticBaseSettingsSource):
    """What the last `clm run` recorded in the data folder; only for the source it was run on."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # __call__ gives all at once

    def __call__(self) -> dict[str, Any]:
        data_dir = Path(self.current_state.get("data_dir") or Settings.model_fields["data_dir"].default)
        path = data_dir / LAST_RUN_FILE
        if not path.exists():
            return {}
        try:
            record = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise SettingsError(f"{path} is not JSON ({error}); delete it or run `clm run`") from error
        if self.current_state.get("source", record.get("source")) != record.get("source"):
            return {}
        return {key: record[key] for key in LAST_RUN_FIELDS if key in record}


class _Adapter(PydanticBaseSettingsSource):
    """The `settings` of the source's adapter.yml: a historical source knows its own dates."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # __call__ gives all at once

    def __call__(self) -> dict[str, Any]:
        fields = Settings.model_fields
        state = self.current_state
        folder = Path(state.get("sql_dir") or fields["sql_dir"].default) / "adapters"
        source = state.get("source") or fields["source"].default
        path = folder / source / "adapter.yml"
        if not path.exists():
            known = sorted(p.parent.name for p in folder.glob("*/adapter.yml"))
            raise SettingsError(
                f"source {source!r} has no adapter: {path} does not exist. "
                f"Known sources: {', '.join(known) or 'none'}. "
                "The README's chapter 'Bring your own shop' says how to write one."
            )
        try:
            content = yaml.safe_load(path.read_text()) or {}
        except yaml.YAMLError as error:
            raise SettingsError(f"{path} is not YAML: {error}") from error
        return dict(content.get("settings") or {})


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; `overrides` go before every other place.

    Raises SettingsError with one line for each value that cannot be used.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"])
            where = f"CLM_{name.upper()}" if name else "settings"
            lines.append(
                f"{where}: {problem['msg']} (found {problem['input']!r})" if name else problem["msg"]
            )
        raise SettingsError("; ".join(lines)) from error


def origins(settings: Settings) -> dict[str, str]:
    """Say for every field where its value came from: a short phrase for a person."""
    environment = EnvSettingsSource(Settings)()
    last_run = _source_values(_LastRun, environment | {"data_dir": settings.data_dir})
    adapter = _source_values(_Adapter, environment | {"source": settings.source})
    result = {}
    for name, info in Settings.model_fields.items():
        value = getattr(settings, name)
        places = {
            f"environment, CLM_{name.upper()}": environment,
            f"last run, {settings.data_dir / LAST_RUN_FILE}": last_run,
            f"adapter {settings.source}": adapter,
            "default": {name: info.default},
        }
        result[name] = next(
            # None is written as nothing at all in the environment.
            (place for place, values in places.items() if name in values and _same(values[name], value)),
            "given by the program",
        )
    return result


def _same(written: Any, value: Any) -> bool:
    return str(written or "") == str(value or "") or written == value


def unsaid_dates(settings: Settings) -> list[str]:
    """Those of start_date and end_date that no person and no adapter gave."""
    path = settings.data_dir / LAST_RUN_FILE
    measured = json.loads(path.read_text()).get("measured", []) if path.exists() else []
    said = origins(settings)
    return [
        name
        for name in ("start_date", "end_date")
        if said[name] == "default" or (said[name].startswith("last run") and name in measured)
    ]


def _source_values(kind: type[_LastRun] | type[_Adapter], state: dict[str, Any]) -> dict[str, Any]:
    source = kind(Settings)
    source._set_current_state(state)
    return source()


def record_last_run(settings: Settings, measured: Collection[str] = ()) -> None:
    """Keep the shop that was run in the data folder, whole or not at all.

    `measured` names the dates that nobody gave and that were taken from the files: the next run
    takes them from the files again.
    """
    record: dict[str, Any] = {
        name: None if (value := getattr(settings, name)) is None else str(value) for name in LAST_RUN_FIELDS
    }
    record["measured"] = sorted(measured)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    path = settings.data_dir / LAST_RUN_FILE
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(record, indent=2) + "\n")
    scratch.replace(path)
