-- Totals of each whole week before as_of, for a year.
-- needs: marts.shop_daily
-- columns: week DATE, orders BIGINT, new_customers BIGINT, sales DOUBLE, net_revenue DOUBLE, returned DOUBLE, average_order_value DOUBLE
with days as (
    select *, (date_diff('day', sales_date, cast(getvariable('as_of') as date)) - 1) // 7 as weeks_ago
    from marts.shop_daily
    where sales_date < getvariable('as_of')
)
select
    min(sales_date) as week,
    sum(orders) as orders,
    sum(new_buyers) as new_customers,
    sum(gross_revenue) as sales,
    sum(net_revenue) as net_revenue,
    sum(returned_revenue + refunds) as returned,
    case when sum(orders) > 0 then sum(gross_revenue - discounts) / sum(orders) end as average_order_value
from days
where weeks_ago < 53
group by weeks_ago
-- A week that is not over, or began before the first loaded day, would look like a fall.
having count(*) = 7
order by week
