"""What a user may choose of forecasts of demand and of reorder points."""

from pydantic import Field

from clm_dagster.settings import DomainSettings, OwnName, Variable


class DemandSettings(DomainSettings):
    """Settings of forecasts of demand and of reorder points."""

    keys: Variable[int] = Field(
        10,
        ge=1,
        description="Of each level, so many countries, channels, categories have forecasts of their own.",
    )
    products: Variable[int] = Field(100, ge=0, description="So many products have forecasts of their own.")
    lstm: bool = Field(
        False,
        description="Whether an LSTM takes part in the contest of forecasts; it needs the extra `lstm`.",
    )
    reorder_lead_days: OwnName[int] = Field(
        7, ge=1, le=28, description="Days from ordering a product to having it on the shelf."
    )
    reorder_service_level: OwnName[float] = Field(
        0.95, gt=0.5, lt=1, description="Probability that a product does not run out in a lead time."
    )
