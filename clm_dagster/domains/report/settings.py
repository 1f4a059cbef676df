"""User settings of the report: its language, and whose names it shows."""

from typing import Literal

from pydantic import Field, field_validator

from clm_dagster.domains.report.wording import languages
from clm_dagster.settings import DomainSettings


class ReportSettings(DomainSettings):
    """Settings of the report."""

    language: str = Field(
        "en", description="Language in which the report opens and is posted: en or zh; the page has a switch."
    )
    ids: Literal["pseudonyms", "shop"] = Field(
        "pseudonyms",
        description="Ids of customers on the page: pseudonyms, or those of the shop, to call or write to them (shop).",
    )

    url: str = Field(
        "",
        description="Address at which somebody serves the folder `reports` of the data folder; posts link to the page "
        "and show its headline chart. Without it they are text only.",
    )

    @field_validator("url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://")):
            raise ValueError(f"{value!r} is no address; expected one that starts with https:// or http://")
        return value.rstrip("/")

    @field_validator("language")
    @classmethod
    def _known_language(cls, value: str) -> str:
        if value not in languages():
            raise ValueError(f"{value!r} is not a language of the report; expected {', '.join(languages())}")
        return value
