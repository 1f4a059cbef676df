"""User settings of the churn domain."""

from pydantic import Field, model_validator

from clm_dagster.settings import DomainSettings, OwnName, Variable


class ChurnSettings(DomainSettings):
    """Settings of churn."""

    horizon_days: Variable[int] = Field(
        90, ge=1, description="Days after as_of in which a customer who does not order has churned."
    )
    active_days: Variable[int] = Field(
        365, ge=1, description="Days before as_of in which a customer must have ordered to be scored."
    )
    leak_auc: float = Field(
        0.97,
        gt=0.5,
        le=1,
        description="An AUC above this counts as a suspected leak; the model is not used for scores.",
    )
    calibration_limit: float = Field(
        0.08,
        gt=0,
        lt=1,
        description="A model with an expected calibration error above this does not become champion.",
    )
    drift_warn: OwnName[float] = Field(
        0.01,
        gt=0,
        lt=1,
        description="Mean change of churn probabilities by drift since the model's test from which the check warns.",
    )
    drift_fail: OwnName[float] = Field(
        0.03,
        gt=0,
        lt=1,
        description="Mean change of churn probabilities by drift since the model's test from which the check fails.",
    )
    grade_warn: OwnName[float] = Field(
        0.03,
        gt=0,
        description="Loss of quality (AUC, calibration error) against the model's test from which the check warns.",
    )
    grade_fail: OwnName[float] = Field(
        0.08,
        gt=0,
        description="Loss of quality against the model's test from which the check fails.",
    )
    lightgbm: bool = Field(
        False,
        description="Whether LightGBM is a candidate of the churn model; it needs the extra `boosting`.",
    )
    train_customers: int | None = Field(
        None,
        ge=100,
        description="Approximate maximum number of customers in the training data of the churn model. Unset: "
        "CLM_TRAIN_CUSTOMERS.",
    )
    turnover_warn: float = Field(
        0.2,
        gt=0,
        description="Share of the top decile of scores that leaves it without an event, from which the check warns.",
    )

    @model_validator(mode="after")
    def _warnings_come_first(self) -> "ChurnSettings":
        for kind, warn, fail in (
            ("drift", self.drift_warn, self.drift_fail),
            ("grade", self.grade_warn, self.grade_fail),
        ):
            if warn > fail:
                raise ValueError(
                    f"{kind}_warn {warn} is above {kind}_fail {fail}; "
                    "the warning threshold must not exceed the failure threshold"
                )
        return self
