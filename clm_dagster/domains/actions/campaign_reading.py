"""Plans and results of campaigns for people: read from the tables, and laid out for the terminal.

Belongs here: the two answers of `clm campaign`, as objects, JSON and text. Does not: the commands
(`campaign_commands`), computation of the figures (`campaigns`, `measurement`).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from clm_dagster.domains.actions.campaign_asset import CAMPAIGNS_JOB, campaign_key, campaign_partitions
from clm_dagster.domains.actions.campaigns import CampaignError, plays_of
from clm_dagster.domains.actions.experiment_size import Measurable, measurable
from clm_dagster.domains.actions.measurement import ALL_ACTIONS, CONVERSION, MEASURED
from clm_dagster.domains.actions.names import CAMPAIGN_PLANS, NEXT_BEST_ACTIONS, RESULTS, TREATED
from clm_dagster.domains.actions.queries import read_playbook_of
from clm_dagster.domains.actions.settings import ActionSettings
from clm_dagster.domains.actions.tables import plan_settings
from clm_dagster.platform.dbt_project.building import literal
from clm_dagster.platform.naming import asset_key, name_of
from clm_dagster.platform.publish.publishing import published_place
from clm_dagster.platform.publish.reading import connect_published
from clm_dagster.platform.resources import load_sql, warehouse_of
from clm_dagster.platform.runs import execute, open_instance
from clm_dagster.settings import Settings

_LONGEST_NAME = 32
_ANY_DAY = "95%, any day"


@dataclass(frozen=True)
class PlayPlan:
    """What a plan has of one line of the playbook. cost, expected_gain: in currency units. example: a reason."""

    play: str
    channel: str
    contacts: int
    held_out: int
    cost: float
    expected_gain: float
    example: str


@dataclass(frozen=True)
class CampaignPlan:
    """A plan: its campaign and as_of, its budget (None for any), its lines, and what its experiment could see."""

    campaign: str
    as_of: date
    budget: float | None
    plays: tuple[PlayPlan, ...]
    experiment: Measurable
    run_id: str

    @property
    def contacts(self) -> int:
        """Number of customers who would be contacted."""
        return sum(play.contacts for play in self.plays)

    @property
    def cost(self) -> float:
        """Expected cost of contacts and discounts, in currency units."""
        return sum(play.cost for play in self.plays)

    @property
    def expected_gain(self) -> float:
        """Expected margin less cost, in currency units."""
        return sum(play.expected_gain for play in self.plays)


def plan_and_read(
    settings: Settings,
    definitions: dg.Definitions,
    campaign: str,
    budget: float | None,
    as_of: date | None,
    progress: Callable[[str, int], None],
) -> CampaignPlan:
    """Plan a campaign as a Dagster run and return the plan. Raise CampaignError, RunFailedError."""
    project = load_sql(settings)
    plays = read_playbook_of(project)
    day = as_of or _newest_as_of(settings)
    plays_of(campaign, [play for play in plays if play.holds_on(day)])
    key = campaign_key(campaign, day)
    step = asset_key(settings, CAMPAIGN_PLANS)
    with open_instance(settings) as instance:
        instance.add_dynamic_partitions(str(campaign_partitions(settings).name), [key])
        run = execute(
            definitions,
            instance,
            name_of(settings, CAMPAIGNS_JOB),
            None,
            progress,
            partition=key,
            config={step.to_python_identifier(): {"budget": budget}} if budget is not None else None,
        )
    with warehouse_of(settings).connect_read_only("clm campaign plan") as connection:
        assert connection is not None
        rows = connection.frame(
            f"select * from {CAMPAIGN_PLANS} where campaign = ? and as_of = ? order by expected_gain desc",
            [campaign, day],
        )
    own = settings.of(ActionSettings)
    limits = plan_settings(project, settings)
    return CampaignPlan(
        campaign=campaign,
        as_of=day,
        budget=own.budget if budget is None else budget,
        plays=tuple(_play_plan(str(name), part) for name, part in rows.groupby("play", sort=True)),
        experiment=measurable(rows, limits, own.window_days),
        run_id=run.run_id,
    )


def _newest_as_of(settings: Settings) -> date:
    """Return the newest snapshot with a plan of actions. Raise CampaignError where there is none."""
    with warehouse_of(settings).connect_read_only("clm campaign plan") as connection:
        if connection is None or connection.relation_kind(NEXT_BEST_ACTIONS) is None:
            raise CampaignError("no snapshot has planned actions yet; run `clm run` first")
        found = connection.scalar(f"select max(as_of) from {NEXT_BEST_ACTIONS}")
    if found is None:
        raise CampaignError(
            "there is nobody to plan for: no customer may be contacted. Deliver consent_marketing in the customers, "
            "or set CLM_ACTIONS_CONSENT=assumed to plan for customers who say nothing, and run `clm run`"
        )
    day: date = found.date()
    return day


def _play_plan(name: str, rows: pd.DataFrame) -> PlayPlan:
    sent = rows[rows["arm"] == TREATED]
    return PlayPlan(
        play=name,
        channel=str(rows["channel"].iloc[0]),
        contacts=len(sent),
        held_out=len(rows) - len(sent),
        cost=float(sent["expected_cost"].sum()),
        expected_gain=float(sent["expected_gain"].sum()),
        example=str(rows["reason"].iloc[0]),
    )


def as_dict(plan: CampaignPlan) -> dict[str, Any]:
    """Return a plan for JSON."""
    totals = {"contacts": plan.contacts, "cost": plan.cost, "expected_gain": plan.expected_gain}
    return asdict(plan) | totals


def render_plan(plan: CampaignPlan) -> RenderableType:
    """Return a plan for the terminal."""
    budget = "no budget" if plan.budget is None else f"budget {plan.budget:,.2f}"
    lines: list[RenderableType] = [
        Text(f"Campaign {plan.campaign}, snapshot {plan.as_of}, {budget}. Nobody has been contacted.", "bold")
    ]
    if not plan.plays:
        lines.append(Text("No customer may get any of its lines and earn more than they cost."))
        return Group(*lines)
    table = Table(
        "line", "channel", "contacts", "held out", "cost", "expected gain", box=None, header_style="bold"
    )
    for one in plan.plays:
        figures = [f"{one.contacts:,}", f"{one.held_out:,}", f"{one.cost:,.2f}", f"{one.expected_gain:,.2f}"]
        table.add_row(one.play, one.channel, *figures)
    lines += [
        table,
        Text(f"\nFor example: {plan.plays[0].example}"),
        Text(f"\n{measurement_words(plan.experiment, sum(one.held_out for one in plan.plays))}"),
    ]
    lines.append(
        Text(f"Whom: {CAMPAIGN_PLANS} where campaign = {literal(plan.campaign)} and as_of = '{plan.as_of}'")
    )
    return Group(*lines)


def measurement_words(found: Measurable, held_out: int) -> str:
    """Return in words what an experiment could see. held_out: everybody who is, by this plan or by all plans."""
    everywhere = held_out - found.held_out
    others = f", besides {everywhere:,} whom no action reaches" if everywhere else ""
    base = f"of {found.base_rate:.1%} who order in the window without it"
    if found.smallest is None:
        return (
            f"It could not be measured: {found.customers:,} customers, {found.held_out:,} of them held out, are too "
            f"few to see any increase {base}."
        )
    return (
        f"{found.held_out:,} of {found.customers:,} customers are held out{others}. With {found.power:.0%} power, an "
        f"increase by {100 * found.smallest:.1f} percentage points {base} is seen, looking every day. The plan "
        f"expects {100 * found.planned:.1f} points: that is seen with a probability of {found.chance:.0%}."
    )


def read_results(settings: Settings, campaign: str) -> pd.DataFrame:
    """Return the newest results of a campaign from the published copy.

    Raise CampaignError where the campaign has none, SettingsError where nothing has been published.
    """
    with connect_published(settings, "clm campaign read") as connection:
        if connection.relation_kind(RESULTS) is None:
            raise CampaignError(f"{published_place(settings)} has no {RESULTS} yet; run `clm run` first")
        newest = f"select * from {RESULTS} where as_of = (select max(as_of) from {RESULTS})"
        rows = connection.frame(f"{newest} order by basis, campaign_id, arm, metric")
    plays = read_playbook_of(load_sql(settings))
    own = {
        play.play for play in plays if campaign in (play.play, play.action) or play.play.startswith(campaign)
    }
    found = rows[
        ((rows["basis"] == "plan") & rows["campaign_id"].isin([*own, campaign]))
        | ((rows["basis"] == "touches") & (rows["campaign_id"] == campaign))
    ]
    if found.empty:
        known = sorted(set(rows["campaign_id"])) or ["none yet"]
        raise CampaignError(
            f"there is no result of a campaign {campaign!r}: a result needs customers in two random arms, one of them "
            f"control. Campaigns with results: {', '.join(map(_brief, known[:20]))}{' ...' if len(known) > 20 else ''}"
        )
    return found.reset_index(drop=True)


def _brief(name: object) -> str:
    """Return a name of the shop on one line, cut if it is long: the terminal has to show the figures beside it."""
    line = " ".join(str(name).split())
    return line if len(line) <= _LONGEST_NAME else f"{line[: _LONGEST_NAME - 1]}…"


def results_as_dict(rows: pd.DataFrame) -> dict[str, Any]:
    """Return results for JSON; a value that is not measured is null."""
    clean = rows.astype(object).where(rows.notna(), None)
    return {"results": clean.to_dict("records")}


def render_results(rows: pd.DataFrame) -> RenderableType:
    """Return results for the terminal."""
    as_of = rows["as_of"].iloc[0].date()
    window = int(rows["horizon_days"].iloc[0])
    lines: list[RenderableType] = [
        Text(f"Results at {as_of} of customers whose {window} days from the first contact are over", "bold")
    ]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("campaign", "arm", "metric", "customers", "control", "effect", _ANY_DAY, "counts"):
        table.add_column(name, overflow="fold", no_wrap=name not in ("campaign", "arm", _ANY_DAY))
    notes: list[str] = []
    for row in _records(rows):
        percent = row["metric"] == CONVERSION
        if row["status"] == MEASURED:
            effect = _amount(row["effect"], percent)
            interval = f"{_amount(row['anytime_low'], percent)} to {_amount(row['anytime_high'], percent)}"
            counts = "yes" if row["is_discovery"] else "not yet"
        else:
            effect, interval, counts = "", "", ""
            notes.append(
                f"{_brief(row['campaign_id'])}, {_brief(row['arm'])}, {row['metric']}: {row['status']}"
            )
        table.add_row(
            _brief(row["campaign_id"]),
            _brief(row["arm"]),
            str(row["metric"]),
            f"{row['customers']:,}",
            f"{row['control_customers']:,}",
            effect,
            interval,
            counts,
        )
        notes += _money(row)
    lines += [table, *(Text(note) for note in dict.fromkeys(notes))]
    if (rows["campaign_id"] == ALL_ACTIONS).any():
        lines.append(
            Text("all_actions is every planned action against the customers whom no action may reach.")
        )
    return Group(*lines)


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def _amount(value: float, percent: bool) -> str:
    return f"{value:+.1%}" if percent else f"{value:+,.2f}"


def _money(row: dict[str, Any]) -> list[str]:
    """Return what a campaign earned in all, where revenue was measured."""
    if row["status"] != MEASURED or row["metric"] == CONVERSION:
        return []
    total = f"{row['incremental_total']:,.2f} [{row['incremental_low']:,.2f}, {row['incremental_high']:,.2f}]"
    spend = "" if pd.isna(row["return_on_spend"]) else f", {row['return_on_spend']:.1f} for each unit spent"
    return [
        f"{_brief(row['campaign_id'])}, {_brief(row['arm'])}: net revenue of {total} for a cost of "
        f"{row['cost']:,.2f}{spend}"
    ]
