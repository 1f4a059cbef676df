-- Customers by risk of not ordering again, value tier and segment, with the margin that is expected to be lost.
-- needs: marts.churn_scores, marts.customer_profiles
-- columns: risk_band VARCHAR, value_tier VARCHAR, segment VARCHAR, customers BIGINT, expected_revenue DOUBLE, expected_loss DOUBLE, horizon_days BIGINT
select scores.risk_band, coalesce(profiles.value_tier, 'unknown') as value_tier,
    coalesce(profiles.segment, 'none') as segment, count(*) as customers,
    coalesce(sum(profiles.expected_revenue), 0) as expected_revenue,
    coalesce(sum(scores.expected_loss), 0) as expected_loss, max(scores.horizon_days) as horizon_days
from marts.churn_scores as scores
inner join marts.customer_profiles as profiles
    on scores.as_of = profiles.as_of and scores.customer_id = profiles.customer_id
where scores.as_of = getvariable('as_of')
group by 1, 2, 3
order by 1, 2, 3
