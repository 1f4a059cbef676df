-- Customers who went from one lifecycle stage to another in four weeks.
-- needs: marts.lifecycle_stages
-- columns: from_stage VARCHAR, to_stage VARCHAR, customers BIGINT
with since as (
    select max(as_of) as as_of from marts.lifecycle_stages where as_of <= getvariable('as_of') - interval 28 day
),
earlier as (
    select customer_id, stage from marts.lifecycle_stages where as_of = (select as_of from since)
),
later as (select customer_id, stage from marts.lifecycle_stages where as_of = getvariable('as_of'))
select coalesce(earlier.stage, 'absent') as from_stage, coalesce(later.stage, 'absent') as to_stage,
    count(*) as customers
from earlier
full join later on earlier.customer_id = later.customer_id
where coalesce(earlier.stage, 'absent') <> coalesce(later.stage, 'absent')
    and (select as_of from since) is not null
group by 1, 2
order by customers desc, 1, 2
