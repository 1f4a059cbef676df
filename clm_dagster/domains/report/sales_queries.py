"""Queries of facts about sales: days, weeks and customers before one as_of.

Belongs here: SQL over daily tables, in aggregates. Does not: snapshots, scores and plans (`fact_queries`).
"""

from datetime import date, datetime

import pandas as pd

from clm_dagster.domains.report.fact_inputs import FOUR_WEEKS, WEEK, WEEKS
from clm_dagster.platform.warehouse import Connection, ordered_sum

BACK = (0, WEEK, FOUR_WEEKS)
_DAYS_OF_WEEKS = 7 * WEEKS
# Weeks back of a day; 0 is the week before as_of.
_WEEKS_BACK = "(date_diff('day', activity_date, cast($as_of as date)) - 1) // 7"


def read_days(connection: Connection, as_of: datetime) -> tuple[date | None, date | None, int]:
    """Return the first and last day with an event, and the longest way from one to the next in the quarter before."""
    ((first, last, gap),) = connection.execute(
        """
        select min(sales_date), max(sales_date), max(gap) filter (where sales_date >= cast(? as date) - 98) from (
            select sales_date, date_diff('day', lag(sales_date) over (order by sales_date), sales_date) as gap
            from core.totals_daily where sales_date < cast(? as date)
        )
        """,
        [as_of, as_of],
    )
    return first, last, int(gap or 1)


def read_weeks(connection: Connection, as_of: datetime, first: date | None) -> pd.DataFrame:
    """Return the sums of each whole week, newest first; weeks without an event are zero.

    Of a shop that is younger than a week, the only row has the days that there are.
    """
    return connection.frame(
        f"""
        with days as (
            select (date_diff('day', sales_date, cast($as_of as date)) - 1) // 7 as back, *
            from core.totals_daily
            where sales_date < cast($as_of as date) and sales_date >= cast($as_of as date) - {_DAYS_OF_WEEKS}
        ),
        known as (
            select (date_diff('day', activity_date, cast($as_of as date)) - 1) // 7 as back,
                coalesce(persons.person_id, daily.customer_id) as person, sum(orders) as orders,
                min(activity_date) as first_day
            from core.customer_daily as daily
            left join core.customer_identities as persons
                on persons.as_of = $as_of and daily.customer_id = persons.customer_id
            where activity_date < cast($as_of as date) and activity_date >= cast($as_of as date) - {
            _DAYS_OF_WEEKS
        }
                and orders > 0
            group by all
        ),
        buyers as (
            select known.back, count(*) as buyers,
                count(*) filter (where features.first_order_date
                    >= cast($as_of as date) - cast(7 * (known.back + 1) as integer)) as new_buyers
            from known
            left join core.customer_features as features
                on features.as_of = $as_of and known.person = features.customer_id
            group by known.back
        ),
        sums as (
            select back, sum(orders) as orders, sum(guest_orders) as guest_orders,
                sum(gross_revenue) as gross, sum(gross_revenue - discounts) as sales,
                sum(returned_revenue + refunds) as returns,
                sum(net_revenue) as revenue, sum(sessions) as sessions, count(*) as days
            from days group by back
        )
        select cast(weeks.back as integer) as back,
            {
            ", ".join(
                f"cast(coalesce({name}, 0) as double) as {name}"
                for name in (
                    "orders",
                    "guest_orders",
                    "gross",
                    "sales",
                    "returns",
                    "revenue",
                    "sessions",
                    "days",
                    "buyers",
                    "new_buyers",
                )
            )
        }
        from range({WEEKS}) as weeks(back)
        left join sums on weeks.back = sums.back
        left join buyers on weeks.back = buyers.back
        where weeks.back = 0 or cast($as_of as date) - cast(7 * (weeks.back + 1) as integer) >= $first
        order by weeks.back
        """,
        {"as_of": as_of, "first": first},
    )


_CUSTOMER_WEEKS = """
    select coalesce(persons.person_id, daily.customer_id) as person, max(daily.country) as country,
        {sums}
    from core.customer_daily as daily
    left join core.customer_identities as persons
        on persons.as_of = $as_of and daily.customer_id = persons.customer_id
    where activity_date < cast($as_of as date) and activity_date >= cast($as_of as date) - 35
    group by 1
"""
_SUMS = ", ".join(
    f"coalesce(sum({column}) filter (where {_WEEKS_BACK} = {back}), 0) as {name}{back}"
    for back in BACK
    for column, name in (
        ("net_revenue", "r"),
        ("gross_revenue - discounts", "s"),
        ("returned_revenue + refunds", "b"),
        ("orders", "o"),
    )
)


def read_pairs(connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Return sums over customers and guest orders of the squared change of each measure, by weeks back."""
    customers = _CUSTOMER_WEEKS.format(sums=_SUMS)
    parts = [
        f"""
        select {back} as back, {ordered_sum(f"(r0 - r{back}) ** 2")} as revenue,
            {ordered_sum(f"(s0 - s{back}) ** 2")} as sales, {ordered_sum(f"(b0 - b{back}) ** 2")} as returns,
            sum((o0 - o{back}) ** 2) as orders, sum(((o0 > 0)::int - (o{back} > 0)::int) ** 2) as buyers
        from units
        """
        for back in (WEEK, FOUR_WEEKS)
    ]
    guests = ", ".join(
        f"case when back = {back} then {column} else 0 end as {name}{back}"
        for back in BACK
        for column, name in (
            ("revenue", "r"),
            ("sales", "s"),
            ("returned_revenue", "b"),
            ("(sales > 0)::int", "o"),
        )
    )
    columns = ", ".join(f"{name}{back}" for back in BACK for name in "rsbo")
    return connection.frame(
        f"""
        with customers as ({customers}),
        guests as (
            select (date_diff('day', order_date, cast($as_of as date)) - 1) // 7 as back, order_id,
                sum(gross_revenue - discounts)::double as sales, sum(returned_revenue)::double as returned_revenue,
                sum(gross_revenue - discounts - returned_revenue)::double as revenue
            from core.order_days
            where customer_id is null and order_date < cast($as_of as date) and order_date >= cast($as_of as date) - 35
            group by 1, 2
        ),
        units as (
            select {columns} from customers
            union all by name
            select {guests} from guests
        )
        {" union all ".join(parts)}
        """,
        {"as_of": as_of},
    )


def read_splits(connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Return net revenue by channel, country, and new or returning customers: now, a week ago, four weeks ago."""
    sums = ", ".join(
        f"coalesce(sum(net_revenue) filter (where {_WEEKS_BACK} = {back}), 0) as r{back}" for back in BACK
    )
    kinds = ", ".join(
        f"coalesce(sum(r{back}) filter (where first_order_date >= cast($as_of as date) - {7 * (back + 1)}), 0)::double "
        f"as n{back}, coalesce(sum(r{back}), 0)::double as a{back}"
        for back in BACK
    )
    guests = ", ".join(f"(select sum(r{back}) from channels)::double - a{back} as r{back}" for back in BACK)
    return connection.frame(
        f"""
        with channels as (
            select channel, {sums} from core.channel_daily
            where activity_date < cast($as_of as date) and activity_date >= cast($as_of as date) - 35 group by 1
        ),
        customers as ({_CUSTOMER_WEEKS.format(sums=_SUMS)}),
        kinds as (
            select {kinds} from customers
            left join core.customer_features as features
                on features.as_of = $as_of and customers.person = features.customer_id
        )
        select 'channel' as dimension, channel as name, r0, r1, r4 from channels
        union all
        select 'country', coalesce(country, 'unknown'), sum(r0), sum(r1), sum(r4) from customers group by 2
        union all
        select 'country', 'guests', {guests} from kinds
        union all
        select 'kind', 'new', n0, n1, n4 from kinds
        union all
        select 'kind', 'returning', a0 - n0, a1 - n1, a4 - n4 from kinds
        union all
        select 'kind', 'guests', {guests} from kinds
        order by 1, 2
        """,
        {"as_of": as_of},
    )
