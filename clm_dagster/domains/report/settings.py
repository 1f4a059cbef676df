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

    @field_validator("language")
    @classmethod
    def _known_language(cls, value: str) -> str:
        if value not in languages():
            raise ValueError(f"{value!r} is not a language of the report; expected {', '.join(languages())}")
        return value
