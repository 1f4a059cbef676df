"""User settings of the lifecycle domain."""

from pydantic import Field, model_validator

from clm_dagster.settings import DomainSettings, OwnName, Variable


class LifecycleSettings(DomainSettings):
    """Settings of lifecycle stages."""

    active_quantile: Variable[OwnName[float]] = Field(
        0.8,
        gt=0,
        lt=1,
        description="Quantile of the days to the next order (within a year) after which a customer is at risk.",
    )
    lost_quantile: Variable[OwnName[float]] = Field(
        0.95,
        gt=0,
        lt=1,
        description="Quantile of the days to the next order (within a year) after which a customer is lost.",
    )

    @model_validator(mode="after")
    def _at_risk_before_lost(self) -> "LifecycleSettings":
        if self.active_quantile >= self.lost_quantile:
            raise ValueError(
                f"active_quantile {self.active_quantile} is not below lost_quantile {self.lost_quantile}; "
                "a customer is at risk before they are lost"
            )
        return self
