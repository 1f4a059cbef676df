"""What a user may choose of recommendations and rules of baskets."""

from pydantic import Field

from clm_dagster.settings import DomainSettings, OwnName


class RecommendSettings(DomainSettings):
    """Settings of recommendations and rules of baskets."""

    horizon_days: int = Field(
        60, ge=1, description="Days after as_of in which a purchase of what was recommended counts."
    )
    count: int = Field(10, ge=1, description="Places on each list of recommendations.")
    active_days: int = Field(
        90, ge=1, description="A product without a sale in so many days before as_of is not recommended."
    )
    rules_days: OwnName[int] = Field(
        365, ge=2, description="Days before as_of whose baskets say what goes with what."
    )
    rules_min_support: OwnName[float] = Field(
        0.01, gt=0, le=1, description="The share of all baskets that products must be in together."
    )
    rules_min_confidence: OwnName[float] = Field(
        0.2,
        ge=0,
        le=1,
        description="The share of baskets with a rule's antecedent that must hold its consequent.",
    )
