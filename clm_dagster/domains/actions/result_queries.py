"""Queries on the outcomes of campaigns, as of one instant.

Belongs here: SQL that adds up outcomes by arm. Does not: effects (`measurement`).
"""

from typing import TypeVar

import pandas as pd

from clm_dagster.platform.dbt_project.building import compile_model
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.partition import Reading

S = TypeVar("S")
OUTCOMES = "core.campaign_outcomes"


def read_arms(reading: Reading[S]) -> pd.DataFrame:
    """Return sums over the customers of each arm: basis, campaign_id, arm, first_contact_on, customers (whose window is
    over at as_of), waiting (whose is not), and of the former conversions, cost, open_rate, click_rate, sums of revenue
    and prior revenue, of their squares and of their product.
    """
    return reading.connection.frame(
        f"""
        with contacted as (
            select *, matures_on <= ?::date as is_over from ({_outcomes(reading.project)})
            where contacted_on < ?::date and arm is not null
        )
        select basis, campaign_id, arm, min(contacted_on) as first_contact_on,
            count(*) filter (where is_over) as customers,
            count(*) filter (where not is_over) as waiting,
            count(*) filter (where is_over and is_converted) as conversions,
            coalesce(sum(cost) filter (where is_over), 0) as cost,
            avg(is_opened::int) filter (where is_over) as open_rate,
            avg(is_clicked::int) filter (where is_over) as click_rate,
            coalesce(sum(revenue) filter (where is_over), 0) as revenue,
            coalesce(sum(prior_revenue) filter (where is_over), 0) as prior,
            coalesce(sum(revenue * revenue) filter (where is_over), 0) as revenue_squares,
            coalesce(sum(revenue * prior_revenue) filter (where is_over), 0) as revenue_prior,
            coalesce(sum(prior_revenue * prior_revenue) filter (where is_over), 0) as prior_squares
        from contacted group by basis, campaign_id, arm order by all
        """,
        [reading.as_of, reading.as_of],
    )


def read_arm_days(reading: Reading[S]) -> pd.DataFrame:
    """Return how many customers joined each arm on each day: basis, campaign_id, contacted_on, arm, customers."""
    return reading.connection.frame(
        f"""
        select basis, campaign_id, contacted_on, arm, count(*) as customers
        from ({_outcomes(reading.project)})
        where contacted_on < ?::date and arm is not null
        group by basis, campaign_id, contacted_on, arm order by all
        """,
        [reading.as_of],
    )


def read_planned_shares(reading: Reading[S]) -> pd.DataFrame:
    """Return the planned shares of arms: campaign_id, arm, share."""
    return reading.connection.frame("select campaign_id, arm, share from staging.campaign_arms order by all")


def _outcomes(project: Project) -> str:
    """Return the query of the outcomes. The views are created after the scores, so their queries are run here."""
    contacts = compile_model(project, project.model("campaign_contacts"))

    def relation(name: str) -> str:
        return f"({contacts})" if name == "campaign_contacts" else project.nodes[name].relation

    return compile_model(project, project.model("campaign_outcomes"), relations=relation)
