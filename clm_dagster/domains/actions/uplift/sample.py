"""The sample of a training: contacts of campaigns with random arms, with what was known of each customer before.

Belongs here: SQL, and which campaigns and arms count. Does not: models (`contest`), splits (`splits`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
import numpy as np
import pandas as pd

from clm_dagster.domains.actions.late_views import rows_of_view
from clm_dagster.domains.actions.measurement import TOUCHES, Campaign, campaigns_of
from clm_dagster.domains.actions.names import NEXT_BEST_ACTIONS
from clm_dagster.domains.actions.result_queries import read_arm_days, read_arms, read_planned_shares
from clm_dagster.domains.actions.uplift.names import NUMBERS
from clm_dagster.domains.actions.uplift.table_settings import UpliftSettings
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.trained_models.samples import TrainingSample, place_sql, share_of
from clm_dagster.platform.trained_models.snapshots import check_stored
from clm_dagster.statistics.evaluation import EvaluationError

_OUTCOMES = "campaign_outcomes"
ALL_CONTACTS = TrainingSample("contacts", 0, 0)


@dataclass(frozen=True)
class Sample:
    """Contacts whose window is over, of all campaigns with random arms.

    contacts: a row for each campaign and customer: campaign_id, customer_id, contacted_on, matures_on, arm, is_control,
    share (planned, of the arm among its campaign), control_share, is_converted, bucket (0 to 999, by a hash of the
    customer), and the features. unusable: campaigns whose arms do not have their planned shares. part: how many of the
    contacts these are.
    """

    contacts: pd.DataFrame
    unusable: tuple[str, ...] = ()
    part: TrainingSample = ALL_CONTACTS

    @property
    def arms(self) -> list[str]:
        """The arms that were contacted, the one with the most contacts first."""
        treated = self.contacts.loc[~self.contacts["is_control"], "arm"]
        return [str(arm) for arm in treated.value_counts().sort_index().sort_values(ascending=False).index]


def read_sample(reading: Reading[UpliftSettings]) -> Sample:
    """Read the sample of a training. Raise EvaluationError without campaigns to learn from.

    Nothing at or after as_of is read: a contact counts once its window is over, and a customer's features are those of
    the last weekly snapshot before the contact.
    """
    settings, day = reading.settings, reading.day
    before = f"basis = '{TOUCHES}' and contacted_on < date '{day}' and arm is not null"
    with rows_of_view(reading, _OUTCOMES, before, without=(NEXT_BEST_ACTIONS,)) as outcomes:
        try:
            campaigns = campaigns_of(
                read_arms(reading, outcomes),
                read_arm_days(reading, outcomes),
                read_planned_shares(reading),
                settings.campaigns,
            )
        except ValueError as error:
            raise dg.Failure(str(error)) from error
        if not campaigns:
            raise EvaluationError(
                f"no campaign before {day} has a control arm and another one; an uplift model learns from contacts "
                "with random arms (touches.arm, CLM_ACTIONS_CONTROL_ARMS)"
            )
        usable = [one for one in campaigns if not one.ratio.is_mismatch]
        unusable = tuple(one.campaign_id for one in campaigns if one.ratio.is_mismatch)
        if not usable:
            raise EvaluationError(
                f"none of the {len(campaigns)} campaigns with a control arm has its arms in their planned shares, so "
                "their customers cannot be compared (check arms_have_their_planned_shares)"
            )
        contacts, part = _read_contacts(reading, outcomes, usable)
    if contacts.empty:
        raise EvaluationError(
            f"no contact of a campaign with random arms has its {settings.horizon_days} days "
            f"(CLM_ACTIONS_WINDOW_DAYS) over at {day}; wait until they are"
        )
    return Sample(contacts, unusable, part)


def training_sample(inputs: Sample) -> TrainingSample:
    """Return which part of the contacts a training reads."""
    return inputs.part


def _read_contacts(
    reading: Reading[UpliftSettings], outcomes: str, campaigns: Sequence[Campaign]
) -> tuple[pd.DataFrame, TrainingSample]:
    connection, settings, day = reading.connection, reading.settings, reading.day
    connection.load_frame("uplift_arms", _arms(campaigns, settings))
    first = day - timedelta(weeks=max(settings.weeks_back))
    # The last weekly snapshot at or before a contact.
    known_at = f"date '{day}' - cast(7 * ceil((date '{day}' - contacted_on) / 7.0) as integer)"
    mature = f"""
        select outcomes.campaign_id, outcomes.customer_id, outcomes.contacted_on, outcomes.matures_on, outcomes.arm,
            outcomes.is_converted, arms.is_control, arms.share, arms.control_share, {known_at} as known_at
        from {outcomes} as outcomes inner join uplift_arms as arms using (campaign_id, arm)
        where outcomes.matures_on <= date '{day}' and {known_at} >= date '{first}'
    """
    days = [row[0] for row in connection.execute(f"select distinct known_at from ({mature}) order by 1")]
    check_stored(reading, days)
    available = connection.scalar(f"select count(*) from ({mature})")
    share = share_of(settings.most_contacts, available)
    numbers = ", ".join(f"cast(features.{name} as double) as {name}" for name in NUMBERS)
    found = connection.frame(
        f"""
        with mature as ({mature}),
        sampled as (
            select * from mature
            where {place_sql("customer_id")} < ?
        )
        select sampled.* exclude (known_at), (md5_number_upper(sampled.customer_id) % 1000)::int as bucket,
            {numbers}, features.country, customers.acquisition_channel
        from sampled
        left join core.customer_identities as persons
            on persons.as_of = sampled.known_at and persons.customer_id = sampled.customer_id
        inner join core.customer_features as features
            on features.as_of = sampled.known_at
            and features.customer_id = coalesce(persons.person_id, sampled.customer_id)
        left join staging.stg_customers as customers on customers.customer_id = features.customer_id
        order by sampled.contacted_on, sampled.campaign_id, sampled.customer_id
        """,
        [share],
    )
    connection.execute("drop table uplift_arms")
    return found, TrainingSample("contacts", available, len(found), share, settings.setting)


def _arms(campaigns: Sequence[Campaign], settings: UpliftSettings) -> pd.DataFrame:
    """Return the arms to compare: of each campaign its control, and the arms that were contacted."""
    controls = set(settings.campaigns.control_arms)
    rows = [
        {
            "campaign_id": one.campaign_id,
            "arm": arm,
            "is_control": arm == one.control,
            "share": one.planned[arm] / sum(one.planned.values()),
            "control_share": one.planned[one.control] / sum(one.planned.values()),
        }
        for one in campaigns
        for arm in one.arms.index
        if arm == one.control or arm not in controls
    ]
    return pd.DataFrame(rows).astype({"campaign_id": "str", "arm": "str"})


@dataclass(frozen=True)
class Comparison:
    """Contacts of one arm and of the control in the same campaigns, in the order of contact.

    treatment, outcome, propensity: shape (n,). propensity: planned probability of the arm among the two.
    """

    arm: str
    frame: pd.DataFrame
    treatment: np.ndarray
    outcome: np.ndarray
    propensity: np.ndarray

    @classmethod
    def of(cls, contacts: pd.DataFrame, arm: str) -> "Comparison":
        """Return the comparison of one arm."""
        treated = contacts[contacts["arm"].eq(arm) & ~contacts["is_control"]]
        shares = treated.groupby("campaign_id")["share"].first()
        rows = contacts[contacts["campaign_id"].isin(shares.index)]
        rows = rows[rows["is_control"] | rows["arm"].eq(arm)].reset_index(drop=True)
        share = rows["campaign_id"].map(shares).to_numpy(float)
        return cls(
            arm=arm,
            frame=rows,
            treatment=(~rows["is_control"]).to_numpy(float),
            outcome=rows["is_converted"].to_numpy(float),
            propensity=share / (share + rows["control_share"].to_numpy(float)),
        )

    def part(self, rows: np.ndarray) -> "Comparison":
        """Return some of the contacts. rows: a mask, shape (n,)."""
        frame = self.frame[rows].reset_index(drop=True)
        return Comparison(self.arm, frame, self.treatment[rows], self.outcome[rows], self.propensity[rows])

    def counts(self) -> dict[str, int]:
        """Return contacts and conversions of both arms."""
        return {
            f"{what}_{name}": int(values[rows].sum())
            for name, rows in (("treated", self.treatment == 1), ("control", self.treatment == 0))
            for what, values in (("contacts", np.ones(len(rows))), ("conversions", self.outcome))
        }


def day_of(value: object) -> date:
    """Return a day of a frame as a date."""
    return pd.Timestamp(str(value)).date()
