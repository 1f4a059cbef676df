"""The plan of a snapshot: the rows of `marts.next_best_actions`.

Belongs here: the inputs, the order of the decisions, metadata. Does not: worth and limits of offers (`offers`), the
choice (`choosing`), sentences and receipts (`receipts`), SQL (`queries`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pandas as pd

from clm_dagster.domains.actions.checks import check_plan
from clm_dagster.domains.actions.choosing import Choice, choose
from clm_dagster.domains.actions.holdouts import arms, everywhere
from clm_dagster.domains.actions.late_views import rows_of_view
from clm_dagster.domains.actions.names import NOTHING, PROFILES, TREATED
from clm_dagster.domains.actions.offers import limit_contacts, price_offers
from clm_dagster.domains.actions.playbook import Play
from clm_dagster.domains.actions.queries import (
    read_contactable,
    read_contacts,
    read_margin_rate,
    read_pairs,
    read_playbook_of,
    read_products_to_show,
    read_served,
    read_uplift,
)
from clm_dagster.domains.actions.receipts import plan_rows
from clm_dagster.domains.actions.table_settings import PlanSettings
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.markdown import markdown_table
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.statistics.experiments.assignment import balance


@dataclass(frozen=True)
class PlanInputs:
    """Inputs of a plan. known: number of customers of the snapshot, with or without consent; others as in `queries`."""

    plays: Sequence[Play]
    known: int
    customers: pd.DataFrame
    pairs: pd.DataFrame
    contacts: pd.DataFrame
    products: pd.DataFrame
    margin_rate: float
    served: Mapping[str, str]
    uplift: pd.DataFrame


def read_plan(reading: Reading[PlanSettings]) -> PlanInputs:
    """Read who may be contacted at a snapshot, and the lines of the playbook that they meet."""
    connection, settings, as_of = reading.connection, reading.settings, reading.as_of
    plays = [play for play in read_playbook_of(reading.project) if play.holds_on(reading.day)]
    with rows_of_view(reading, PROFILES, reading.partition.where) as current:
        return PlanInputs(
            plays=plays,
            known=int(connection.scalar(f"select count(*) from {current}")),
            customers=read_contactable(connection, current, settings.assume_consent),
            pairs=read_pairs(connection, current, plays, settings.assume_consent, as_of),
            contacts=read_contacts(connection, as_of, settings.control_arms),
            products=read_products_to_show(connection, as_of),
            margin_rate=read_margin_rate(connection, as_of),
            served=read_served(connection, as_of),
            uplift=read_uplift(connection, as_of, sorted({play.arm for play in plays if play.arm})),
        )


def plan_actions(work: Work[PlanSettings], inputs: PlanInputs) -> TableOutput:
    """Return the planned action of every customer who may be contacted."""
    rows, choice = plan(inputs, inputs.plays, work.settings, work.partition.version)
    return TableOutput(
        rows[work.columns],
        {
            **figures(inputs, rows, choice),
            "holdout_by_group": dg.MetadataValue.md(_balance(work.settings, inputs)),
        },
        check_plan(work.label, inputs, rows, choice, work.settings),
    )


def planned_rows(
    inputs: PlanInputs, plays: Sequence[Play], settings: PlanSettings, version: Version
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the customers for whom some of the lines alone would plan something, and the metadata of that plan."""
    rows, choice = plan(inputs, plays, settings, version)
    return rows[rows["action"] != NOTHING].reset_index(drop=True), figures(inputs, rows, choice)


def plan(
    inputs: PlanInputs, plays: Sequence[Play], settings: PlanSettings, version: Version
) -> tuple[pd.DataFrame, Choice]:
    """Return one row for each customer who may be contacted, and how good the choice is. plays: the lines to use.

    Lines of the action `nothing` count in any case.
    """
    used = [one for one in inputs.plays if one in plays or one.action == NOTHING]
    places = {inputs.plays.index(one): place for place, one in enumerate(used)}
    pairs = inputs.pairs[inputs.pairs["place"].isin(list(places))]
    pairs = pairs.assign(place=pairs["place"].map(places).astype("int64"))
    held = arms(inputs.customers["customer_id"], [one.play for one in used], settings)
    priced = price_offers(pairs, inputs.customers, used, inputs.margin_rate, inputs.uplift)
    offers = limit_contacts(priced, pairs, inputs.customers, inputs.contacts, used, settings.rest_days)
    choice = choose(offers, held, used, settings)
    return plan_rows(inputs, used, offers, choice, held, settings, version), choice


def figures(inputs: PlanInputs, rows: pd.DataFrame, choice: Choice) -> dict[str, Any]:
    """Return the metadata of a plan: contacts, cost, gain and how much better a plan could be."""
    sent = rows[(rows["arm"] == TREATED) & (rows["action"] != NOTHING)]
    proven = [] if inputs.uplift.empty else sorted(inputs.uplift["arm"].unique())
    return {
        "known_customers": inputs.known,
        "may_be_contacted": len(inputs.customers),
        "arms_with_a_proven_effect": ", ".join(proven) or "none",
        "contacts": len(sent),
        "cost": round(float(sent["expected_cost"].sum()), 2),
        "expected_gain": round(float(sent["expected_gain"].sum()), 2),
        "share_of_gain_that_may_be_missing": round(choice.gap, 6),
        "gain_of_one_more_unit_of_budget": round(choice.budget_price, 4),
        "plays": dg.MetadataValue.md(_table(rows)),
    }


def _balance(settings: PlanSettings, inputs: PlanInputs) -> str:
    """Return a Markdown table of the global holdout by stage, segment and risk band, the most uneven groups first."""
    customers = inputs.customers
    if customers.empty:
        return "nobody may be contacted"
    held = everywhere(customers["customer_id"], settings)
    found = balance(held, customers[["stage", "segment", "risk_band"]])
    order = found["deviations"].abs().sort_values(ascending=False, kind="stable").index
    shown = found.loc[order].round({"share": 3, "deviations": 2})
    return markdown_table(list(shown.columns), shown.to_numpy(dtype=object).tolist())


def _table(rows: pd.DataFrame) -> str:
    """Return a Markdown table of the plays: contacts, held out, cost and gain."""
    planned = rows[rows["action"] != NOTHING]
    is_sent = planned["arm"] == TREATED
    table = pd.DataFrame(
        {
            "contacts": is_sent.groupby(planned["play"]).sum(),
            "held out": (~is_sent).groupby(planned["play"]).sum(),
            "cost": planned["expected_cost"].where(is_sent, 0.0).groupby(planned["play"]).sum().round(2),
            "expected gain": planned["expected_gain"]
            .where(is_sent, 0.0)
            .groupby(planned["play"])
            .sum()
            .round(2),
        }
    ).sort_values("expected gain", ascending=False)
    return markdown_table(["play", *table.columns], table.reset_index().to_numpy(dtype=object).tolist())
