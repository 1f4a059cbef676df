"""User settings of the identity domain."""

from typing import Literal

from pydantic import Field, field_validator

from clm_dagster.settings import DomainSettings, Variable

# Ids on events and customers, strongest first.
KINDS = ("email_hash", "phone_hash", "device_id")


class IdentitySettings(DomainSettings):
    """Settings of identities."""

    hub: Variable[int] = Field(
        10, ge=2, description="An id that more customers than this share joins none of them."
    )
    guests: Variable[str] = Field(
        "email_hash,phone_hash",
        description="Ids that make a guest a customer of their own: email_hash, phone_hash, device_id; empty for none.",
    )
    devices: Variable[Literal["confirmed", "always", "never"]] = Field(
        "confirmed",
        description="Whether a shared device_id joins customers; confirmed: those of the same birth year and gender.",
    )

    proposals: bool = Field(
        False,
        description="Whether core.identity_proposals is computed; needs the extra linkage. Proposals join nobody.",
    )
    proposal_probability: float = Field(
        0.9, gt=0, lt=1, description="Least probability of a proposal in core.identity_proposals."
    )

    @field_validator("guests")
    @classmethod
    def _known_kinds(cls, value: str) -> str:
        kinds = [kind for kind in (part.strip() for part in value.split(",")) if kind]
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise ValueError(
                f"{unknown[0]!r} is not a kind of id; expected {', '.join(KINDS)}, or empty for none"
            )
        return ",".join(kinds)
