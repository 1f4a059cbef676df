{{ config(event_time='as_of') }}

-- A view, because a label uses days after its as_of: a late order changes it, and it exists as soon as the last
-- day of its horizon is loaded, without a rebuild of its snapshot.
-- data_end is the day after the last day with any event, including guests. A day without events at the end cannot
-- be distinguished from a day that is not delivered yet, so it does not make a label mature.

with loaded as (

    select max(sales_date) + 1 as data_end from {{ ref('totals_daily') }}

),

customers as (

    select
        as_of,
        customer_id,
        cast(as_of as date) + {{ var('churn_horizon_days') }} as matures_on
    from {{ ref('customer_features') }}
    where recency_days <= {{ var('churn_active_days') }}

),

order_days as (

    select
        customer_id,
        activity_date
    from {{ ref('customer_daily') }}
    where orders > 0

),

mature as (

    select
        customers.as_of,
        customers.customer_id,
        customers.matures_on,
        loaded.data_end
    from customers
    cross join loaded
    where customers.matures_on <= loaded.data_end

),

final as (

    select
        mature.as_of,
        mature.customer_id,
        {{ var('churn_horizon_days') }} as horizon_days,
        mature.matures_on,
        mature.data_end,
        min(order_days.activity_date) as next_order_date,
        cast(min(order_days.activity_date) is null as integer) as churned
    from mature
    left join order_days
        on
            mature.customer_id = order_days.customer_id
            and cast(mature.as_of as date) <= order_days.activity_date
            and mature.matures_on > order_days.activity_date
    group by mature.as_of, mature.customer_id, mature.matures_on, mature.data_end

)

select * from final
