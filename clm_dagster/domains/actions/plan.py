"""The plan of a snapshot: the rows of `marts.next_best_actions`.

Belongs here: the inputs, the order of the decisions, metadata. Does not: worth and limits of offers (`offers`), the
choice (`choosing`), sentences and receipts (`receipts`), SQL (`queries`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from clm_dagster.domains.actions.checks import check_plan
from clm_dagster.domains.actions.choosing import Decision, OpenOffers, decide, outcomes
from clm_dagster.domains.actions.holdouts import arms_of_offers, everywhere
from clm_dagster.domains.actions.late_views import rows_of_view
from clm_dagster.domains.actions.names import GLOBAL_HOLDOUT, HOLDOUT, NOTHING, PROFILES, TREATED
from clm_dagster.domains.actions.offers import limit_contacts, price_offers
from clm_dagster.domains.actions.playbook import Play
from clm_dagster.domains.actions.queries import (
    contactable,
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
from clm_dagster.platform.python_tables.in_shards import Computed, InShards
from clm_dagster.platform.python_tables.output import Rows, TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.platform.python_tables.shards import CustomerRows
from clm_dagster.platform.python_tables.shelf import Shelf
from clm_dagster.statistics.experiments.assignment import balance_of, strata_counts


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


@dataclass(frozen=True)
class PlanSource:
    """Inputs of a plan by shard of the customers who may be contacted; see `PlanInputs`."""

    plays: Sequence[Play]
    known: int
    customers: CustomerRows
    pairs: CustomerRows
    contacts: CustomerRows
    products: CustomerRows
    margin_rate: float
    served: Mapping[str, str]
    uplift: CustomerRows

    @classmethod
    def whole(cls, inputs: PlanInputs) -> "PlanSource":
        """Return inputs as a single shard."""
        parts = {name: CustomerRows.whole(getattr(inputs, name)) for name in _BY_CUSTOMER}
        return cls(
            plays=inputs.plays,
            known=inputs.known,
            margin_rate=inputs.margin_rate,
            served=inputs.served,
            **parts,
        )

    def shard(self, number: int) -> PlanInputs:
        """Return the inputs of a shard."""
        parts = {name: getattr(self, name).shard(number) for name in _BY_CUSTOMER}
        return PlanInputs(
            plays=self.plays, known=self.known, margin_rate=self.margin_rate, served=self.served, **parts
        )


_BY_CUSTOMER = ("customers", "pairs", "contacts", "products", "uplift")


def read_plan(reading: Reading[PlanSettings]) -> PlanSource:
    """Read who may be contacted at a snapshot, and the lines of the playbook that they meet."""
    connection, settings, as_of = reading.connection, reading.settings, reading.as_of
    consent = settings.assume_consent
    plays = [play for play in read_playbook_of(reading.project) if play.holds_on(reading.day)]
    with rows_of_view(reading, PROFILES, reading.partition.where) as current:
        shards = reading.shards(contactable(current, consent))
        return PlanSource(
            plays=plays,
            known=int(connection.scalar(f"select count(*) from {current}")),
            customers=read_contactable(reading, shards, current, consent),
            pairs=read_pairs(reading, shards, current, plays, consent),
            contacts=read_contacts(reading, shards, settings.control_arms),
            products=read_products_to_show(reading, shards),
            margin_rate=read_margin_rate(connection, as_of),
            served=read_served(connection, as_of),
            uplift=read_uplift(reading, shards, sorted({play.arm for play in plays if play.arm})),
        )


@dataclass(frozen=True)
class Planned:
    """What metadata and checks need of the rows of a shard.

    rows: of planned actions only: play, channel, arm, expected_cost, expected_gain. strata: customers and those of the
    global holdout by stage, segment and risk band. arms: with a proven effect.
    """

    rows: pd.DataFrame
    strata: pd.DataFrame
    arms: tuple[str, ...]


class Plan(InShards[OpenOffers, list[Decision], Planned]):
    """The plan of a snapshot, shard by shard: offers, the choice among those of all customers, and reasons.

    plays: the lines to use; those of the action `nothing` count in any case. columns: of the rows, None for all.
    """

    def __init__(
        self,
        source: PlanSource,
        plays: Sequence[Play],
        settings: PlanSettings,
        version: Version,
        shelf: Shelf,
        label: str = "",
        columns: Sequence[str] | None = None,
    ) -> None:
        self._source, self._settings, self._version = source, settings, version
        self._shelf, self._label, self._columns = shelf, label, columns
        self._used = [one for one in source.plays if one in plays or one.action == NOTHING]

    @property
    def shards(self) -> int:
        """The number of shards."""
        return len(self._source.customers.shards)

    def measure(self, shard: int) -> OpenOffers:
        """Leave the offers of a shard, and return those that may be made."""
        inputs, settings, used = self._source.shard(shard), self._settings, self._used
        places = {inputs.plays.index(one): place for place, one in enumerate(used)}
        pairs = inputs.pairs[inputs.pairs["place"].isin(list(places))]
        pairs = pairs.assign(place=pairs["place"].map(places).astype("int64"))
        priced = price_offers(pairs, inputs.customers, used, inputs.margin_rate, inputs.uplift)
        offers = limit_contacts(priced, pairs, inputs.customers, inputs.contacts, used, settings.rest_days)
        ids = inputs.customers["customer_id"]
        held = everywhere(ids, settings)
        arms = arms_of_offers(ids, held, offers, [one.play for one in used], settings)
        self._shelf.put("offers", shard, offers.assign(arm=arms))
        self._shelf.put("held", shard, pd.DataFrame({"everywhere": held}))
        return OpenOffers.of(offers, arms, len(ids))

    def combine(self, parts: Sequence[OpenOffers]) -> list[Decision]:
        """Choose among the offers of all customers; return the decision of each shard."""
        found = decide(parts, self._used, self._settings)
        ends = np.cumsum([part.customers for part in parts])[:-1]
        return [replace(found, actions=actions) for actions in np.split(found.actions, ends)]

    def rows(self, whole: list[Decision], shard: int) -> tuple[pd.DataFrame, Planned]:
        """Return the plan of a shard."""
        inputs, offers = self._source.shard(shard), self._shelf.get("offers", shard)
        held = self._shelf.get("held", shard)["everywhere"].to_numpy(bool)
        outcome = outcomes(offers, whole[shard].actions, whole[shard].prices, self._used)
        told = offers.assign(outcome=outcome)
        rows = plan_rows(inputs, self._used, told, held, self._settings, self._version)
        facts = Planned(
            _planned(rows, self._used),
            strata_counts(held, inputs.customers[["stage", "segment", "risk_band"]]),
            () if inputs.uplift.empty else tuple(inputs.uplift["arm"].unique()),
        )
        return rows if self._columns is None else rows[list(self._columns)], facts

    def output(self, whole: list[Decision], rows: Rows, facts: Sequence[Planned]) -> TableOutput:
        """Return the plan with metadata and checks."""
        planned = pd.concat([one.rows for one in facts], ignore_index=True)
        metadata = self.figures(whole, facts) | {
            "holdout_by_group": dg.MetadataValue.md(self._balance(facts))
        }
        source, settings = self._source, self._settings
        found = check_plan(self._label, source.known, len(source.customers), planned, whole[0].gap, settings)
        return TableOutput(rows, metadata, found)

    def figures(self, whole: list[Decision], facts: Sequence[Planned]) -> dict[str, Any]:
        """Return the metadata of a plan: contacts, cost, gain and how much better a plan could be."""
        planned = pd.concat([one.rows for one in facts], ignore_index=True)
        sent = planned[planned["arm"] == TREATED]
        return {
            "known_customers": self._source.known,
            "may_be_contacted": len(self._source.customers),
            "arms_with_a_proven_effect": ", ".join(sorted({arm for one in facts for arm in one.arms}))
            or "none",
            "contacts": len(sent),
            "cost": round(float(sent["expected_cost"].sum()), 2),
            "expected_gain": round(float(sent["expected_gain"].sum()), 2),
            "share_of_gain_that_may_be_missing": round(whole[0].gap, 6),
            "gain_of_one_more_unit_of_budget": round(whole[0].budget_price, 4),
            "plays": dg.MetadataValue.md(_table(planned)),
        }

    def _balance(self, facts: Sequence[Planned]) -> str:
        """Return a Markdown table of the global holdout by group of customers, the most uneven groups first."""
        if not len(self._source.customers):
            return "nobody may be contacted"
        found = balance_of([one.strata for one in facts])
        order = found["deviations"].abs().sort_values(ascending=False, kind="stable").index
        shown = found.loc[order].round({"share": 3, "deviations": 2})
        return markdown_table(list(shown.columns), shown.to_numpy(dtype=object).tolist())


def plan_actions(work: Work[PlanSettings], source: PlanSource) -> Computed:
    """Return the planned action of every customer who may be contacted."""
    shelf = work.shelf(len(source.customers.shards))
    version = work.partition.version
    return Plan(source, source.plays, work.settings, version, shelf, work.label, work.columns)


def planned_rows(
    source: PlanSource, plays: Sequence[Play], settings: PlanSettings, version: Version, shelf: Shelf
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the customers for whom some of the lines alone would plan something, and the metadata of that plan."""
    found = Plan(source, plays, settings, version, shelf)
    whole = found.combine([found.measure(shard) for shard in range(found.shards)])
    parts, facts = [], []
    for shard in range(found.shards):
        rows, fact = found.rows(whole, shard)
        parts.append(rows[rows["action"] != NOTHING])
        facts.append(fact)
    return pd.concat(parts, ignore_index=True), found.figures(whole, facts)


def plan(
    inputs: PlanInputs, plays: Sequence[Play], settings: PlanSettings, version: Version
) -> tuple[pd.DataFrame, Decision]:
    """Return one row for each customer who may be contacted, and how good the choice is. plays: the lines to use."""
    found = Plan(PlanSource.whole(inputs), plays, settings, version, Shelf())
    whole = found.combine([found.measure(0)])
    return found.rows(whole, 0)[0], whole[0]


def _planned(rows: pd.DataFrame, plays: Sequence[Play]) -> pd.DataFrame:
    """Return what figures read of planned actions, in a few bytes each."""
    planned = rows[rows["action"] != NOTHING]
    words = {
        "play": sorted({one.play for one in plays}),
        "channel": sorted({one.channel for one in plays}),
        "arm": [TREATED, HOLDOUT, GLOBAL_HOLDOUT],
    }
    named = {name: pd.Categorical(planned[name], categories=known) for name, known in words.items()}
    numbers = {name: planned[name].to_numpy(float) for name in ("expected_cost", "expected_gain")}
    return pd.DataFrame({**named, **numbers})


def _table(planned: pd.DataFrame) -> str:
    """Return a Markdown table of the plays: contacts, held out, cost and gain. planned: see `Planned`."""
    is_sent, play = planned["arm"] == TREATED, planned["play"].astype(object)
    table = pd.DataFrame(
        {
            "contacts": is_sent.groupby(play).sum(),
            "held out": (~is_sent).groupby(play).sum(),
            "cost": planned["expected_cost"].where(is_sent, 0.0).groupby(play).sum().round(2),
            "expected gain": planned["expected_gain"].where(is_sent, 0.0).groupby(play).sum().round(2),
        }
    ).sort_values("expected gain", ascending=False)
    return markdown_table(["play", *table.columns], table.reset_index().to_numpy(dtype=object).tolist())
