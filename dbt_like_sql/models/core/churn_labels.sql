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

-- The ids whose orders count, see docs/decisions/identities.md.
ids as (

    select
        *,
        customer_id as own_id
    from mature
    union all
    select
        mature.*,
        others.customer_id as own_id
    from mature
    inner join {{ later_ids(var('churn_horizon_days')) }} as others
        on mature.as_of = others.as_of and mature.customer_id = others.person_id

),

final as (

    select
        ids.as_of,
        ids.customer_id,
        {{ var('churn_horizon_days') }} as horizon_days,
        ids.matures_on,
        ids.data_end,
        min(order_days.activity_date) as next_order_date,
        cast(min(order_days.activity_date) is null as integer) as churned
    from ids
    left join order_days
        on
            ids.own_id = order_days.customer_id
            and cast(ids.as_of as date) <= order_days.activity_date
            and ids.matures_on > order_days.activity_date
    group by ids.as_of, ids.customer_id, ids.matures_on, ids.data_end

)

select * from final
