"""Weeks before the as_of of a page, and those of its forecast, which several sections read.

Belongs here: sums by week. Does not: what a section says about them.
"""

from clm_dagster.domains.report.reading import PageReading, Row

WEEKS = 53
# The week of a day: 0 is the one that ended at as_of. A week starts on the weekday of as_of, a Monday.
_AGO = "cast(floor((date_diff('day', sales_date, cast($as_of as date)) - 1) / 7) as integer)"


def shop_weeks(reading: PageReading) -> list[Row]:
    """Return the totals of each whole week before as_of, oldest first: `day` is its first day.

    A week that began before the first loaded day, or ended after the last one, is left out.
    """
    if not reading.has("marts.shop_daily"):
        return []
    return reading.rows(
        f"""
        select
            min(sales_date) as day,
            sum(orders)::bigint as orders,
            sum(new_buyers)::bigint as new_buyers,
            sum(gross_revenue) as gross_revenue,
            sum(net_revenue) as net_revenue,
            sum(returned_revenue + refunds) as returned,
            case when sum(orders) > 0
                then cast(sum(gross_revenue - discounts) / sum(orders) as double) end as average_order_value
        from marts.shop_daily
        where sales_date < $as_of and {_AGO} < {WEEKS}
        group by {_AGO}
        having count(*) = 7
        order by 1
        """
    )


def week_forecast(reading: PageReading) -> list[Row]:
    """Return the weeks of the forecast that was made at as_of: day, mean, quantiles, model_name; none without one."""
    relation = "marts.demand_forecasts"
    ours = "level = 'shop' and period = 'week' and measure = 'revenue'"
    newest = reading.newest(relation, ours)
    # An older forecast would begin inside the actual weeks.
    if newest is None or newest != reading.as_of:
        return []
    return reading.rows(
        f"select date as day, mean, q10, q90, q025, q975, model_name from {relation} where as_of = $at and {ours} "
        "order by date",
        at=newest,
    )


def ratio(now: float, before: float) -> float | None:
    """Return the relative change; None where the older value is not positive, so that a share would say nothing."""
    return (now - before) / before if before > 0 else None
