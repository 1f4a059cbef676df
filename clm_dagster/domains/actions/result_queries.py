"""Queries on the outcomes of campaigns, as of one instant.

Belongs here: SQL that adds up outcomes by arm. Does not: effects (`measurement`).
"""

from typing import TypeVar

import pandas as pd

from clm_dagster.platform.python_tables.partition import Reading

S = TypeVar("S")


def read_arms(reading: Reading[S], outcomes: str) -> pd.DataFrame:
    """Return sums over the customers of each arm: basis, campaign_id, arm, first_contact_on, customers (whose window is
    over at as_of), waiting (whose is not), and of the former conversions, cost, open_rate, click_rate, sums of revenue
    and prior revenue, of their squares and of their product.

    outcomes: a table with the rows of core.campaign_outcomes of contacts before as_of.
    """
    return reading.connection.frame(
        f"""
        with contacted as (select *, matures_on <= ?::date as is_over from {outcomes})
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
        [reading.as_of],
    )


def read_arm_days(reading: Reading[S], outcomes: str) -> pd.DataFrame:
    """Return how many customers joined each arm on each day: basis, campaign_id, contacted_on, arm, customers."""
    return reading.connection.frame(
        f"""
        select basis, campaign_id, contacted_on, arm, count(*) as customers from {outcomes}
        group by basis, campaign_id, contacted_on, arm order by all
        """
    )


def read_planned_shares(reading: Reading[S]) -> pd.DataFrame:
    """Return the planned shares of arms: campaign_id, arm, share."""
    return reading.connection.frame("select campaign_id, arm, share from staging.campaign_arms order by all")
