-- Customers in each lifecycle stage, for half a year.
-- needs: marts.lifecycle_stages
-- columns: as_of DATE, stage VARCHAR, customers BIGINT
select cast(as_of as date) as as_of, stage, count(*) as customers
from marts.lifecycle_stages
where as_of <= getvariable('as_of') and as_of > getvariable('as_of') - interval 189 day
group by 1, 2
order by 1, 2
