"""User settings of the warehouses domain."""

import re

from pydantic import Field, SecretStr, field_validator

from clm_dagster.domains.warehouses.destinations import split_destinations
from clm_dagster.settings import DomainSettings, OwnName

_SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,50}")


class WarehouseSettings(DomainSettings):
    """Settings of publishing to the warehouses that a team has."""

    publish_to: OwnName[SecretStr] = Field(
        SecretStr(""),
        description=(
            "Databases that get the tables for users, such as postgresql://user:${PASSWORD}@host/db, separated by "
            "commas, each with a name before it (dwh=...) or called like its kind; empty for none."
        ),
    )
    publish_schema: OwnName[str] = Field(
        "clm",
        description="Schema of CLM_PUBLISH_TO that holds the tables; a dataset in BigQuery. One for each shop.",
    )
    publish_tables: OwnName[str] = Field(
        "",
        description=(
            "Tables to publish, such as core.orders,exposure:churn_list; names may be patterns, a minus leaves out; "
            "empty for all marts and all tables of exposures."
        ),
    )
    publish_personal: OwnName[bool] = Field(
        False,
        description="Whether columns of personal data are published too, such as hashes of e-mail addresses.",
    )

    # Not a `pattern` of the field, which could not be sent to other processes.
    @field_validator("publish_schema")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _SCHEMA.fullmatch(value):
            raise ValueError(f"{value!r} is not a schema; expected letters, digits and underscores")
        return value

    @field_validator("publish_to")
    @classmethod
    def _has_names(cls, value: SecretStr) -> SecretStr:
        split_destinations(value)
        return value
