"""User settings of the churn domain."""

from pydantic import Field, model_validator

from clm_dagster.settings import DomainSettings, OwnName, Variable


class ChurnSettings(DomainSettings):
    """Settings of churn."""

    horizon_days: Variable[int] = Field(
        90, ge=1, description="Days after as_of in which a customer who does not order has churned."
    )
    active_days: Variable[int] = Field(
        365, ge=1, description="Days before as_of in which a customer must have ordered to be asked about."
    )
    leak_auc: float = Field(
        0.97, gt=0.5, le=1, description="An AUC above this is taken for a leak: the model scores nobody."
    )
    calibration_limit: float = Field(
        0.08,
        gt=0,
        lt=1,
        description="No model becomes champion whose expected calibration error is above this.",
    )
    drift_warn: OwnName[float] = Field(
        0.1, gt=0, description="A stability index, or a change of a missing rate, that warns of a feature."
    )
    drift_fail: OwnName[float] = Field(0.25, gt=0, description="One that fails the check.")
    grade_warn: OwnName[float] = Field(
        0.03, gt=0, description="How much worse than promised (AUC, calibration error) graded scores warn."
    )
    grade_fail: OwnName[float] = Field(0.08, gt=0, description="How much worse fails the check.")

    @model_validator(mode="after")
    def _warnings_come_first(self) -> "ChurnSettings":
        for kind, warn, fail in (
            ("drift", self.drift_warn, self.drift_fail),
            ("grade", self.grade_warn, self.grade_fail),
        ):
            if warn > fail:
                raise ValueError(f"{kind}_warn {warn} is above {kind}_fail {fail}; a warning comes first")
        return self
