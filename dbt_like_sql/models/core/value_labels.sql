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
    inner join {{ later_ids(var('value_horizon_days')) }} as others
        on mature.as_of = others.as_of and mature.customer_id = others.person_id

),

final as (

    select
        ids.as_of,
        ids.customer_id,
        {{ var('value_horizon_days') }} as horizon_days,
        ids.matures_on,
        ids.data_end,
        cast(coalesce(sum(daily.orders), 0) as bigint) as orders,
        cast(coalesce(sum(daily.net_revenue), 0) as decimal(18, 4)) as net_revenue
    from ids
    left join {{ ref('customer_daily') }} as daily
        on
            ids.own_id = daily.customer_id
            and cast(ids.as_of as date) <= daily.activity_date
            and ids.matures_on > daily.activity_date
    group by ids.as_of, ids.customer_id, ids.matures_on, ids.data_end

)

select * from final
