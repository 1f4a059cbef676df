"""User settings of actions: money, contact limits, and who is held out."""

from typing import Literal

from pydantic import Field, field_validator

from clm_dagster.domains.actions.names import CHANNELS
from clm_dagster.settings import DomainSettings, OwnName, Variable


class ActionSettings(DomainSettings):
    """Settings of next best actions."""

    budget: float | None = Field(
        None,
        ge=0,
        description="Money that the actions of one snapshot may cost, contacts and expected discounts; empty for any.",
    )
    capacity: str = Field(
        "phone=100",
        description="The most contacts of one snapshot by channel, such as email=5000,phone=50; others have no limit.",
    )
    rest_days: int = Field(
        7, ge=0, description="Days between two contacts of a customer, whatever the action; 0 for none."
    )
    consent: Variable[Literal["stated", "assumed"]] = Field(
        "stated",
        description="Who may be contacted: customers who say so (stated), or also those who say nothing (assumed).",
    )
    holdout_share: float = Field(
        0.1, ge=0, lt=1, description="Share of customers whom each action leaves out, to measure its effect."
    )
    global_holdout_share: float = Field(
        0.05, ge=0, lt=1, description="Share of customers whom every action leaves out."
    )
    holdout_key: str = Field(
        "clm",
        min_length=1,
        description="Key of the hash that holds customers out; another key draws other ones.",
    )
    window_days: Variable[int] = Field(
        30,
        ge=1,
        description="Days from a contact on in which an order counts as a conversion of its campaign.",
    )
    control_arms: Variable[str] = Field(
        "control,holdout,global_holdout",
        description="Arms of marketing contacts that were not contacted, separated by commas.",
    )
    webhook_rows: int = Field(
        500, ge=1, description="The most rows of an export that are posted to a webhook at once."
    )
    webhook_timeout: float = Field(
        30.0, gt=0, description="Seconds to wait for the answer of a webhook that gets an export."
    )
    webhook_attempts: int = Field(
        6,
        ge=1,
        description="How often an export is posted to a webhook that does not answer or is overloaded.",
    )
    uplift_train_customers: OwnName[int | None] = Field(
        None,
        ge=100,
        description="Approximate maximum number of customers in the training data of the uplift model. Unset: "
        "CLM_TRAIN_CUSTOMERS.",
    )
    webhook_wait: float = Field(
        1.0,
        ge=0,
        description="Seconds before an export is posted again; they double each time, up to a minute.",
    )

    @property
    def controls(self) -> tuple[str, ...]:
        """The arms that were not contacted."""
        return tuple(arm.strip() for arm in self.control_arms.split(",") if arm.strip())

    @field_validator("capacity")
    @classmethod
    def _known_channels(cls, value: str) -> str:
        capacities_of(value)
        return value


def capacities_of(text: str) -> dict[str, int]:
    """Return the capacity of each channel that has one. Raise ValueError for a text that is none."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        channel, _, count = (piece.strip() for piece in part.partition("="))
        if channel not in CHANNELS:
            raise ValueError(f"{channel!r} is not a channel; expected some of {', '.join(CHANNELS)}")
        if not count.isdigit():
            raise ValueError(f"{part!r} is not a capacity; expected a number of contacts, as in {channel}=50")
        if channel in found:
            raise ValueError(f"the channel {channel} is given twice")
        found[channel] = int(count)
    return found
