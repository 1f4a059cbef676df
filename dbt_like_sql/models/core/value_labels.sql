{{ config(event_time='as_of') }}

-- A view for the same reason as core.churn_labels: a late order or return changes a label. Every customer with an
-- order before as_of has a row, however long ago it was; a customer who spends nothing has 0. Guests have no
-- customer_id, so their spend is only in core.totals_daily.

with loaded as (

    select max(sales_date) + 1 as data_end from {{ ref('totals_daily') }}

),

mature as (

    select
        features.as_of,
        features.customer_id,
        cast(features.as_of as date) + {{ var('value_horizon_days') }} as matures_on,
        loaded.data_end
    from {{ ref('customer_features') }} as features
    cross join loaded
    where
        features.order_days > 0
        and cast(features.as_of as date) + {{ var('value_horizon_days') }} <= loaded.data_end

),

final as (

    select
        mature.as_of,
        mature.customer_id,
        {{ var('value_horizon_days') }} as horizon_days,
        mature.matures_on,
        mature.data_end,
        cast(coalesce(sum(daily.orders), 0) as bigint) as orders,
        cast(coalesce(sum(daily.net_revenue), 0) as decimal(18, 4)) as net_revenue
    from mature
    left join {{ ref('customer_daily') }} as daily
        on
            mature.customer_id = daily.customer_id
            and cast(mature.as_of as date) <= daily.activity_date
            and mature.matures_on > daily.activity_date
    group by mature.as_of, mature.customer_id, mature.matures_on, mature.data_end

)

select * from final
