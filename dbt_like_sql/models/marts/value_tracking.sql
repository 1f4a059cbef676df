{{ config(event_time='as_of') }}

-- Expected and actual cumulative values of all customers known at as_of, by week of the horizon. A view, so that
-- a week gets its actual values when its last day is loaded.

with loaded as (

    select max(sales_date) + 1 as data_end from {{ ref('totals_daily') }}

),

weeks as (

    select
        expected.as_of,
        expected.week,
        expected.days,
        expected.horizon_days,
        cast(expected.as_of as date) + cast(expected.days as integer) as ends_on,
        expected.expected_orders,
        expected.expected_revenue,
        expected.model_name,
        expected.model_version
    from {{ source('marts', 'value_expectations') }} as expected

),

-- The ids whose orders count, see docs/decisions/identities.md.
ids as (

    select
        as_of,
        horizon_days,
        customer_id
    from {{ source('marts', 'customer_value') }}
    union all
    select
        value.as_of,
        value.horizon_days,
        others.customer_id
    from {{ source('marts', 'customer_value') }} as value
    inner join {{ later_ids(var('value_horizon_days')) }} as others
        on value.as_of = others.as_of and value.customer_id = others.person_id

),

-- Each customer's days after as_of, by the first week that includes them.
spent as (

    select
        ids.as_of,
        daily.activity_date,
        sum(daily.orders) as orders,
        sum(daily.net_revenue) as net_revenue
    from ids
    inner join {{ ref('customer_daily') }} as daily
        on
            ids.customer_id = daily.customer_id
            and cast(ids.as_of as date) <= daily.activity_date
            and cast(ids.as_of as date) + cast(ids.horizon_days as integer) > daily.activity_date
    group by ids.as_of, daily.activity_date

),

final as (

    select
        weeks.as_of,
        weeks.week,
        weeks.ends_on,
        weeks.horizon_days,
        weeks.expected_orders,
        case
            when weeks.ends_on <= loaded.data_end
                then cast(coalesce(sum(spent.orders), 0) as bigint)
        end as actual_orders,
        weeks.expected_revenue,
        case
            when weeks.ends_on <= loaded.data_end
                then cast(coalesce(sum(spent.net_revenue), 0) as decimal(18, 4))
        end as actual_revenue,
        weeks.model_name,
        weeks.model_version
    from weeks
    cross join loaded
    left join spent on weeks.as_of = spent.as_of and weeks.ends_on > spent.activity_date
    group by
        weeks.as_of, weeks.week, weeks.ends_on, weeks.horizon_days, weeks.expected_orders, weeks.expected_revenue,
        weeks.model_name, weeks.model_version, loaded.data_end

)

select * from final
