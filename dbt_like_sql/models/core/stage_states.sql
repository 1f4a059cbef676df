{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- The stage of every known customer, from data known at as_of only. A run is a sequence of orders without a long
-- gap: it starts with the first order, and again with each order after a gap of more than lost_days.

with customers as (

    select * from {{ ref('customer_features') }}
    where {{ is_at_as_of('as_of') }}

),

cutoffs as (

    select * from {{ ref('lifecycle_cutoffs') }}
    where {{ is_at_as_of('as_of') }}

),

order_days as (

    select
        as_of,
        customer_id,
        activity_date,
        date_diff('day', previous_date, activity_date) as gap_days
    from {{ persons_order_days() }} as persons_order_days

),

starts as (

    select
        order_days.as_of,
        order_days.customer_id,
        max(order_days.activity_date) as run_start_date,
        max_by(order_days.gap_days, order_days.activity_date) as away_days
    from order_days
    inner join cutoffs on order_days.as_of = cutoffs.as_of
    where order_days.gap_days is null or order_days.gap_days > cutoffs.lost_days
    group by order_days.as_of, order_days.customer_id

),

measured as (

    select
        customers.as_of,
        customers.customer_id,
        date_diff(
            'day', least(customers.signed_up_date, customers.first_seen_date), cast(customers.as_of as date)
        ) as known_days,
        customers.order_days,
        customers.recency_days,
        date_diff('day', starts.run_start_date, customers.last_order_date) as run_days,
        starts.away_days,
        customers.net_revenue,
        cutoffs.active_days,
        cutoffs.lost_days
    from customers
    left join starts on customers.as_of = starts.as_of and customers.customer_id = starts.customer_id
    left join cutoffs on customers.as_of = cutoffs.as_of

),

final as (

    select
        as_of,
        customer_id,
        case
            when order_days = 0 then 'prospect'
            when recency_days > lost_days then 'lost'
            when recency_days > active_days then 'at_risk'
            when order_days = 1 then 'new'
            when run_days = 0 then 'reactivated'
            when run_days <= lost_days then 'growing'
            else 'loyal'
        end as stage,
        ---------- basis of the stage
        known_days,
        order_days,
        recency_days,
        run_days,
        away_days,
        net_revenue
    from measured

)

select * from final
