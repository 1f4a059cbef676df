"""The sample that a model is trained on: how much there was, how much of it was used, and the bound.

Belongs here: the bound as a share of customers, its SQL, its words. Does not: queries (`snapshots`, domains), whether
the sample is enough (`statistics.evaluation.learning`).

A sample holds the customers whose place is below its share. The place is a hash of the id, so that every training and
every snapshot of a training uses the same customers, a growing shop drops some and adds none of the old ones, and the
sample is filtered in the database. Each customer has the same chance, whatever they did: base rates stay as they are.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clm_dagster.platform.trained_models.checks import warn
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

    from clm_dagster.statistics.evaluation.learning import LearningCurve

TRAIN_CUSTOMERS = "CLM_TRAIN_CUSTOMERS"
ENOUGH = "training_sample_is_enough"
ENOUGH_CHECK = {
    ENOUGH: "Where the training sample was cut, its last doubling gained no more than the test can tell from nothing, "
    "or less than matters."
}


def place_sql(customer_id: str) -> str:
    """Return the SQL of a customer's place in [0, 1), that of `statistics.evaluation.learning.places_of`."""
    return f"md5_number_lower({customer_id})::double / 18446744073709551616.0"


def share_of(most: int, known: int) -> float:
    """Return the share of `known` customers that are about `most`; 1 if there are no more than that."""
    return 1.0 if known <= most else most / known


def train_customers(settings: Settings, own: int | None, name: str) -> tuple[int, str]:
    """Return the bound of a model and the variable that sets it: the domain's own of this name, or the shared one."""
    return (settings.train_customers, TRAIN_CUSTOMERS) if own is None else (own, name)


@dataclass(frozen=True)
class TrainingSample:
    """The sample of a training.

    unit: what is counted. available, used: how many there are, and how many of them the training reads. share: the
    bound of places, 1 for all. setting: the variable that bounds it, empty where nothing does.
    """

    unit: str
    available: int
    used: int
    share: float = 1.0
    setting: str = TRAIN_CUSTOMERS

    @property
    def is_cut(self) -> bool:
        """Whether there were more than the bound."""
        return self.share < 1

    def __str__(self) -> str:
        if not self.is_cut:
            return f"all {self.available:,} {self.unit}"
        return (
            f"{self.used:,} of {self.available:,} {self.unit}, chosen by a hash of the customer's id "
            f"(bound: {self.setting})"
        )

    @property
    def parameters(self) -> dict[str, object]:
        """The sample as parameters of an MLflow run."""
        return {
            "sample/unit": self.unit,
            "sample/available": self.available,
            "sample/used": self.used,
            "sample/share": self.share,
        }

    @property
    def row(self) -> dict[str, object]:
        """The sample as columns of a table of trainings."""
        return {"sample_unit": self.unit, "sample_available": self.available, "sample_used": self.used}

    @property
    def tag(self) -> str:
        """The value of the tag `clm.training_sample`."""
        return "cut" if self.is_cut else "all"


ALL_CUSTOMERS = TrainingSample("customers", 0, 0)


def check_enough(
    snapshot: str, sample: TrainingSample, curve: "LearningCurve | None"
) -> "dg.AssetCheckResult":
    """Return the result of the check of a sample. curve: None where none was computed."""
    if not sample.is_cut:
        return warn(ENOUGH, True, f"{snapshot}: trained on {sample}")
    if curve is None:
        return warn(ENOUGH, False, f"{snapshot}: trained on {sample}; too few customers for a learning curve")
    advice = "" if curve.is_enough else f"; raise {sample.setting}"
    return warn(ENOUGH, curve.is_enough, f"{snapshot}: trained on {sample}. {curve}{advice}")
