-- Share of the customers of each first month who ordered again, for two years. A month that is not over still grows.
-- needs: marts.cohort_retention
-- columns: cohort VARCHAR, months_since BIGINT, customers BIGINT, active BIGINT, retention DOUBLE, value_so_far DOUBLE, is_over BOOLEAN
select strftime(cohort_month, '%Y-%m') as cohort, months_since, customers, active, retention,
    cumulative_value as value_so_far, month + interval 1 month <= getvariable('as_of') as is_over
from marts.cohort_retention
where month < getvariable('as_of')
    and cohort_month >= date_trunc('month', getvariable('as_of')) - interval 24 month
order by cohort, months_since
