-- The customers with most to lose, of those whom the plan may contact. Nobody of a control group is among them.
-- needs: marts.churn_scores, marts.customer_profiles, marts.next_best_actions
-- columns: customer VARCHAR, segment VARCHAR, churn_probability DOUBLE, expected_loss DOUBLE, recency_days BIGINT, orders BIGINT
select shown_customer(scores.customer_id) as customer, profiles.segment, scores.churn_probability,
    scores.expected_loss, profiles.recency_days, profiles.orders
from marts.churn_scores as scores
inner join marts.customer_profiles as profiles
    on scores.as_of = profiles.as_of and scores.customer_id = profiles.customer_id
left join marts.next_best_actions as plan
    on scores.as_of = plan.as_of and scores.customer_id = plan.customer_id
where scores.as_of = getvariable('as_of') and scores.expected_loss > 0
    -- Without a plan there is no control group yet.
    and (
        plan.arm = 'treated'
        or not exists (select 1 from marts.next_best_actions where as_of = getvariable('as_of'))
    )
order by scores.expected_loss desc, scores.customer_id
limit 20
