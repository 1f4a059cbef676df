"""User settings of the personas domain."""

from pydantic import Field

from clm_dagster.settings import DomainSettings, Variable


class PersonaSettings(DomainSettings):
    """Settings of personas."""

    train_customers: int | None = Field(
        None,
        ge=100,
        description="Approximate maximum number of customers in the training data of personas. Unset: "
        "CLM_TRAIN_CUSTOMERS.",
    )
    grade_days: Variable[int] = Field(
        90,
        ge=7,
        description="Days after as_of from which it counts whether a customer still has their persona.",
    )
