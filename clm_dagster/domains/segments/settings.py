"""User settings of the segments domain."""

from typing import Literal

from pydantic import Field

from clm_dagster.settings import DomainSettings, OwnName, Variable


class SegmentSettings(DomainSettings):
    """Settings of RFM segments."""

    rfm_cutoffs: Variable[OwnName[Literal["weekly", "quarterly"]]] = Field(
        "weekly",
        description="When the cut-offs of RFM scores change: weekly, or quarterly: at the training calendar "
        "(CLM_TRAIN_EVERY_WEEKS).",
    )
