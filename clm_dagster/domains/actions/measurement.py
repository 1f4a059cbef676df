"""What campaigns with random arms have changed: the rows of `marts.campaign_results`.

Belongs here: which arms are compared, planned sizes, and the results of all campaigns together. Does not: effects and
intervals (`statistics.experiments`), SQL (`result_queries`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from clm_dagster.domains.actions.names import GLOBAL_HOLDOUT, HOLDOUT, TREATED
from clm_dagster.domains.actions.table_settings import ResultSettings
from clm_dagster.statistics.experiments.discoveries import select_discoveries
from clm_dagster.statistics.experiments.effects import (
    Effect,
    NotEnoughData,
    cuped_effect,
    incremental,
    rate_effect,
)
from clm_dagster.statistics.experiments.moments import Sums
from clm_dagster.statistics.experiments.sample_ratio import SampleRatio, check_sample_ratio_daily
from clm_dagster.statistics.experiments.sequential import AnytimeLook, FixedLook, Look, progress

TOUCHES, PLAN = "touches", "plan"
ALL_ACTIONS = "all_actions"
MEASURED = "measured"
CONVERSION, REVENUE = "conversion", "revenue"
# A campaign that the shop delivers is sent at once; a play runs for about a quarter. The anytime interval is narrowest
# at the size planned so, which must not depend on results.
_PLANNED_WEEKS = {TOUCHES: 1, PLAN: 13}
_ANY_CAMPAIGN = "*"
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Campaign:
    """A campaign with a control arm.

    arms: one row for each arm, with sums over its customers (see `result_queries.read_arms`), indexed by arm. ratio:
    the test of its planned shares. planned: planned number of customers of each arm.
    """

    basis: str
    campaign_id: str
    control: str
    arms: pd.DataFrame
    ratio: SampleRatio
    planned: Mapping[str, float]


def campaigns_of(
    arms: pd.DataFrame, days: pd.DataFrame, shares: pd.DataFrame, settings: ResultSettings
) -> list[Campaign]:
    """Return the campaigns that have a control arm and one that was contacted.

    arms: sums by basis, campaign_id and arm. days: number of customers by basis, campaign_id, contacted_on and arm.
    shares: campaign_id, arm, share of the seed campaign_arms. Raise ValueError for shares that do not fit the arms.
    """
    by_day = dict(iter(days.groupby(["basis", "campaign_id"])))
    found = []
    for (basis, name), rows in arms.groupby(["basis", "campaign_id"], sort=True):
        controls = _controls(str(basis), str(name), settings)
        held = [arm for arm in controls if arm in set(rows["arm"])]
        if not held or set(rows["arm"]) <= set(controls):
            continue
        names = sorted(rows["arm"])
        planned = _planned_shares(str(basis), str(name), names, shares, settings)
        counts = by_day[basis, name].pivot_table(
            index="contacted_on", columns="arm", values="customers", aggfunc="sum", fill_value=0
        )
        counts = counts.reindex(columns=names, fill_value=0).sort_index()
        first_week = counts[counts.index < counts.index[0] + pd.Timedelta(days=7)].to_numpy().sum()
        size = float(first_week) * _PLANNED_WEEKS[str(basis)]
        found.append(
            Campaign(
                basis=str(basis),
                campaign_id=str(name),
                control=held[0],
                arms=rows.set_index("arm"),
                ratio=check_sample_ratio_daily(names, counts.cumsum().to_numpy(), planned),
                planned={arm: size * planned[arm] for arm in names},
            )
        )
    return found


def _controls(basis: str, name: str, settings: ResultSettings) -> Sequence[str]:
    if basis == TOUCHES:
        return settings.control_arms
    return (GLOBAL_HOLDOUT,) if name == ALL_ACTIONS else (HOLDOUT,)


def _planned_shares(
    basis: str, name: str, arms: Sequence[str], shares: pd.DataFrame, settings: ResultSettings
) -> dict[str, float]:
    if basis == PLAN:
        held = settings.global_holdout_share if name == ALL_ACTIONS else settings.holdout_share
        return {GLOBAL_HOLDOUT if name == ALL_ACTIONS else HOLDOUT: held, TREATED: 1 - held}
    for which in (name, _ANY_CAMPAIGN):
        mine = shares[shares["campaign_id"] == which]
        if mine.empty:
            continue
        planned = dict(zip(mine["arm"], mine["share"].astype(float), strict=True))
        if set(planned) != set(arms) or abs(sum(planned.values()) - 1) > _TOLERANCE:
            raise ValueError(
                f"seeds/campaign_arms.csv: the campaign {name} has the arms {', '.join(arms)}; its lines give "
                f"{', '.join(f'{arm} {share:g}' for arm, share in planned.items())}. Give each arm a share; shares add "
                "up to 1"
            )
        return planned
    return dict.fromkeys(arms, 1 / len(arms))


def result_rows(campaigns: Sequence[Campaign], settings: ResultSettings) -> pd.DataFrame:
    """Return the results, one row for each campaign, treated arm and metric, with the discoveries among all of them."""
    rows = pd.DataFrame([row for campaign in campaigns for row in _rows(campaign, settings)])
    if rows.empty:
        return rows
    chosen = select_discoveries(rows["p_value"].astype(float).to_numpy())
    return rows.assign(is_discovery=chosen.selected)


def _rows(campaign: Campaign, settings: ResultSettings) -> Iterator[dict[str, object]]:
    sums = {str(arm): row for arm, row in campaign.arms.iterrows()}
    control = sums.pop(campaign.control)
    for arm, treated in sums.items():
        # A second arm that was not contacted has no effect and cost nothing.
        if arm in _controls(campaign.basis, campaign.campaign_id, settings):
            continue
        look = _look(campaign, control, treated, arm)
        for metric in (CONVERSION, REVENUE):
            row: dict[str, object] = {
                "basis": campaign.basis,
                "campaign_id": campaign.campaign_id,
                "arm": arm,
                "metric": metric,
                "horizon_days": settings.window_days,
                "first_contact_on": campaign.arms["first_contact_on"].min(),
                "customers": int(treated["customers"]),
                "control_customers": int(control["customers"]),
                "waiting_customers": int(treated["waiting"] + control["waiting"]),
                "cost": float(treated["cost"]),
                "open_rate": treated["open_rate"],
                "click_rate": treated["click_rate"],
                "sample_ratio_p": campaign.ratio.p_value,
            }
            if campaign.ratio.is_mismatch:
                yield row | _unmeasured(str(campaign.ratio))
                continue
            once, anytime = (_effect(metric, control, treated, how) for how in (FixedLook(), look))
            if isinstance(once, NotEnoughData) or isinstance(anytime, NotEnoughData):
                yield row | _unmeasured(str(once if isinstance(once, NotEnoughData) else anytime))
                continue
            yield row | _measured(metric, once, anytime, float(treated["cost"]))


def _look(campaign: Campaign, control: pd.Series, treated: pd.Series, arm: str) -> Look:
    sizes = (int(control["customers"]), int(treated["customers"]))
    planned = (max(int(campaign.planned[campaign.control]), 1), max(int(campaign.planned[arm]), 1))
    return AnytimeLook(progress=progress(sizes, planned)) if min(sizes) > 0 else AnytimeLook()


def _effect(metric: str, control: pd.Series, treated: pd.Series, look: Look) -> Effect | NotEnoughData:
    if metric == CONVERSION:
        return rate_effect(
            (int(control["conversions"]), int(control["customers"])),
            (int(treated["conversions"]), int(treated["customers"])),
            look,
        )
    return cuped_effect(_sums(control), _sums(treated), look)


def _sums(arm: pd.Series) -> Sums:
    return Sums.of_cross(
        int(arm["customers"]),
        [arm["revenue"], arm["prior"]],
        [arm["revenue_squares"], arm["revenue_prior"], arm["prior_squares"]],
    )


def _unmeasured(status: str) -> dict[str, object]:
    empty = (
        "control_mean treated_mean effect effect_low effect_high anytime_low anytime_high relative_effect p_value "
        "variance_left incremental_total incremental_low incremental_high return_on_spend"
    )
    return {"status": status, **dict.fromkeys(empty.split())}


def _measured(metric: str, once: Effect, anytime: Effect, cost: float) -> dict[str, object]:
    brought = incremental(once, cost if metric == REVENUE else 0.0)
    return {
        "status": MEASURED,
        "control_mean": once.control,
        "treated_mean": once.treated,
        "effect": once.difference,
        "effect_low": once.low,
        "effect_high": once.high,
        "anytime_low": anytime.low,
        "anytime_high": anytime.high,
        "relative_effect": once.relative,
        "p_value": anytime.p_value,
        "variance_left": once.variance_left,
        "incremental_total": brought.total,
        "incremental_low": brought.low,
        "incremental_high": brought.high,
        "return_on_spend": brought.on_spend,
    }
