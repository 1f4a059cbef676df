"""User settings of demand forecasts and reorder points.

Belongs here: settings with their defaults. Does not: settings that users cannot change
(`table_settings.DemandSettings`).
"""

from pydantic import Field

from clm_dagster.settings import DomainSettings, OwnName, Variable


class DemandSettings(DomainSettings):
    """Settings of demand forecasts and reorder points."""

    keys: Variable[int] = Field(
        10,
        ge=1,
        description="Number of countries, channels and categories, each, that get their own forecasts.",
    )
    products: Variable[int] = Field(100, ge=0, description="Number of products that get their own forecasts.")
    lstm: bool = Field(
        False,
        description="Whether the LSTM is a candidate for forecasts; it needs the extra `lstm`.",
    )
    reorder_lead_days: OwnName[int] = Field(
        7, ge=1, le=28, description="Lead time: days from ordering a product to having it on the shelf."
    )
    reorder_service_level: OwnName[float] = Field(
        0.95, gt=0.5, lt=1, description="Probability that a product does not run out of stock in a lead time."
    )
