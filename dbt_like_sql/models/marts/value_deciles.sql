{{ config(event_time='as_of') }}

-- Expected and actual revenue by decile of the expected revenue, highest first, once the horizon is over.
-- Customers with equal expected revenue share a decile, so there may be fewer than ten.

with graded as (

    select
        value.as_of,
        value.horizon_days,
        value.model_name,
        value.model_version,
        value.expected_revenue,
        value.revenue_low,
        value.revenue_high,
        cast(labels.net_revenue as double) as actual_revenue,
        (rank() over (partition by value.as_of order by value.expected_revenue desc) - 1) * 10
        // count(*) over (partition by value.as_of) + 1 as decile
    from {{ source('marts', 'customer_value') }} as value
    inner join {{ ref('value_labels') }} as labels
        on
            value.as_of = labels.as_of
            and value.customer_id = labels.customer_id
            and value.horizon_days = labels.horizon_days

),

final as (

    select
        as_of,
        decile,
        horizon_days,
        count(*) as customers,
        sum(expected_revenue) as expected_revenue,
        sum(actual_revenue) as actual_revenue,
        sum(expected_revenue) / nullif(case when sum(actual_revenue) > 0 then sum(actual_revenue) end, 0) - 1 as bias,
        sum(actual_revenue) / nullif(sum(sum(actual_revenue)) over (partition by as_of), 0) as actual_share,
        avg(abs(expected_revenue - actual_revenue)) as mean_absolute_error,
        avg(cast(actual_revenue between revenue_low and revenue_high as integer)) as interval_coverage,
        model_name,
        model_version
    from graded
    group by as_of, decile, horizon_days, model_name, model_version

)

select * from final
