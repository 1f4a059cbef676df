{{ config(event_time='as_of') }}

-- Expected values of each RFM segment, and the actual values once they are known.

with customers as (

    select
        value.as_of,
        value.horizon_days,
        value.expected_orders,
        value.expected_revenue,
        value.past_revenue,
        value.value_tier,
        scores.segment,
        labels.net_revenue as actual_revenue,
        labels.orders as actual_orders
    from {{ source('marts', 'customer_value') }} as value
    inner join {{ ref('rfm_states') }} as scores
        on value.as_of = scores.as_of and value.customer_id = scores.customer_id
    left join {{ ref('value_labels') }} as labels
        on
            value.as_of = labels.as_of
            and value.customer_id = labels.customer_id
            and value.horizon_days = labels.horizon_days

),

final as (

    select
        as_of,
        segment,
        horizon_days,
        count(*) as customers,
        count(*) filter (where value_tier = 'vip') as vip_customers,
        sum(expected_orders) as expected_orders,
        sum(expected_revenue) as expected_revenue,
        sum(expected_revenue) / nullif(sum(sum(expected_revenue)) over (partition by as_of), 0) as expected_share,
        sum(past_revenue) as past_revenue,
        cast(sum(actual_orders) as bigint) as actual_orders,
        cast(sum(actual_revenue) as decimal(18, 4)) as actual_revenue
    from customers
    group by as_of, segment, horizon_days

)

select * from final
