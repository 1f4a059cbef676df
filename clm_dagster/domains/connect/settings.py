"""User settings of the connect domain."""

from pathlib import Path

from pydantic import Field, field_validator

from clm_dagster.settings import DomainSettings, OwnName


class ConnectSettings(DomainSettings):
    """Settings of connectors."""

    connectors: OwnName[Path | None] = Field(
        None, description="A YAML file of connectors that pull into CLM_INPUT; empty for none."
    )

    @field_validator("connectors", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value
