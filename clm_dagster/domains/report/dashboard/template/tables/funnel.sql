-- Sessions, product views, carts and orders of the last four weeks by channel.
-- needs: marts.funnel_daily
-- columns: channel VARCHAR, sessions BIGINT, views BIGINT, carts BIGINT, orders BIGINT
select coalesce(channel, 'unknown') as channel, sum(sessions) as sessions, sum(views) as views, sum(carts) as carts,
    sum(orders) as orders
from marts.funnel_daily
where activity_date < getvariable('as_of') and activity_date >= cast(getvariable('as_of') as date) - 28
group by 1
order by sessions desc, 1
