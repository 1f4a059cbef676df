"""Settings that the tables of actions receive. Their values are part of the version of a table.

Belongs here: the rules of custom segments, and what a plan of actions depends on. Does not: users' settings
(`settings`), from which `tables` derives these.
"""

from dataclasses import dataclass

from clm_dagster.domains.actions.segment_rules import SegmentRule


@dataclass(frozen=True)
class SegmentTableSettings:
    """Settings of custom segments. rules: those of the file, checked."""

    rules: tuple[SegmentRule, ...]


@dataclass(frozen=True)
class PlanSettings:
    """Settings of a plan of actions.

    budget: money for one snapshot; None for any. capacity: contacts by channel, sorted. rest_days: between two contacts
    of a customer. assume_consent: whether customers of whom nothing is known may be contacted. holdout_share,
    global_holdout_share, holdout_key: who is held out. control_arms: arms that were not contacted. horizon_days: of the
    probability of an order.
    """

    budget: float | None
    capacity: tuple[tuple[str, int], ...]
    rest_days: int
    assume_consent: bool
    holdout_share: float
    global_holdout_share: float
    holdout_key: str
    control_arms: tuple[str, ...]
    horizon_days: int


@dataclass(frozen=True)
class ResultSettings:
    """Settings of campaign results.

    window_days: of conversions. control_arms: of delivered contacts, the first that a campaign has is its control.
    holdout_share, global_holdout_share: planned shares of the arms of plans.
    """

    window_days: int
    control_arms: tuple[str, ...]
    holdout_share: float
    global_holdout_share: float
