-- Size and revenue of each RFM segment.
-- needs: marts.rfm_segments
-- columns: segment VARCHAR, customers BIGINT, net_revenue DOUBLE, order_days DOUBLE, recency_days DOUBLE
select segment, count(*) as customers, sum(monetary) as net_revenue, avg(frequency) as order_days,
    median(recency_days) as recency_days
from marts.rfm_segments
where as_of = getvariable('as_of')
group by segment
order by net_revenue desc, segment
