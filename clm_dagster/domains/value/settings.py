"""User settings of the customer value domain."""

from pydantic import Field

from clm_dagster.settings import DomainSettings, Variable


class ValueSettings(DomainSettings):
    """Settings of customer value."""

    horizon_days: Variable[int] = Field(
        90, ge=1, description="Days after as_of in which a customer's spend is forecast."
    )
    train_customers: int | None = Field(
        None,
        ge=100,
        description="Approximate maximum number of customers in the training data of the value model. Unset: "
        "CLM_TRAIN_CUSTOMERS.",
    )
    lightgbm: bool = Field(
        False,
        description="Whether LightGBM is a candidate of the value model; it needs the extra `boosting`.",
    )
