"""User settings of the ingest domain."""

from pydantic import Field

from clm_dagster.settings import DomainSettings, OwnName


class IngestSettings(DomainSettings):
    """Settings of ingestion."""

    max_rejected_share: OwnName[float] = Field(
        0.2,
        ge=0,
        le=1,
        description="Share of a delivery's rows that may be rejected before a run stops after loading.",
    )
