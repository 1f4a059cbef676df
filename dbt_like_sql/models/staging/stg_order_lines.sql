{{ config(event_time='event_at') }}

-- The single definition of an order and its revenue: net revenue = purchases - returns.

with events as (

    select * from {{ ref('stg_events') }}

),

final as (

    select
        ---------- ids
        event_id,
        customer_id,
        order_id,
        product_id,
        ---------- times
        event_at,
        event_date,
        ---------- attributes
        event_type as line_type,
        description,
        channel,
        country,
        ---------- amounts
        case when event_type = 'purchase' then order_id end as purchase_order_id,
        case when event_type = 'purchase' then quantity else 0 end as units,
        case when event_type = 'return' then quantity else 0 end as returned_units,
        cast(case when event_type = 'purchase' then amount else 0 end as decimal(18, 4)) as gross_revenue,
        cast(case when event_type = 'return' then amount else 0 end as decimal(18, 4))
            as returned_revenue,
        cast(
            case event_type when 'purchase' then amount when 'return' then -amount else 0 end as decimal(18, 4)
        ) as net_revenue,
        cast(
            case event_type when 'charge' then amount when 'charge_refund' then -amount else 0 end as decimal(18, 4)
        ) as net_charges
    from events
    where event_type in ('purchase', 'return', 'gift', 'charge', 'charge_refund')

)

select * from final
