"""User settings of recommendations and basket rules.

Belongs here: settings with their defaults. Does not: settings that users cannot change
(`table_settings.RankerSettings`).
"""

from pydantic import Field

from clm_dagster.settings import DomainSettings, OwnName, Variable


class RecommendSettings(DomainSettings):
    """Settings of recommendations and basket rules."""

    horizon_days: Variable[int] = Field(
        60, ge=1, description="Days after as_of in which a purchase of a recommended product counts."
    )
    count: int = Field(10, ge=1, description="Places on each list of recommendations.")
    active_days: Variable[int] = Field(
        90, ge=1, description="A product without a sale in this many days before as_of is not recommended."
    )
    train_customers: int = Field(
        1_000_000,
        ge=1_000,
        description="Approximate maximum number of customers whose purchases the ranker is trained on.",
    )
    rules_days: OwnName[int] = Field(
        365, ge=2, description="Days of baskets before as_of for pairs of products and basket rules."
    )
    rules_min_support: OwnName[float | None] = Field(
        None,
        gt=0,
        le=1,
        description=(
            "Minimum share of baskets that contain all products of a pair or rule. Unset: chosen from the data, five "
            "baskets or as few as can be significant, and more only where there would be too many pairs or rules."
        ),
    )
    rules_min_confidence: OwnName[float] = Field(
        0.2,
        ge=0,
        le=1,
        description="Minimum share of the baskets with a rule's antecedent that also contain its consequent.",
    )
