{{ config(event_time='event_at') }}

-- The single definition of an order and of its money, in the shop's currency:
-- gross revenue = purchases before discounts; discounts = those of purchase lines and of whole orders;
-- net revenue = gross revenue - discounts - returns - refunds. Charges, tax and shipping are apart.

with events as (

    select * from {{ ref('stg_events') }}
    where
        event_type in (
            'purchase', 'return', 'gift', 'charge', 'charge_refund', 'discount', 'refund', 'shipping', 'tax'
        )

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
        cast(case when event_type = 'purchase' then quantity else 0 end as decimal(18, 4)) as units,
        cast(case when event_type = 'return' then quantity else 0 end as decimal(18, 4)) as returned_units,
        cast(
            case when event_type = 'purchase' then amount + coalesce(discount_amount, 0) else 0 end as decimal(18, 4)
        ) as gross_revenue,
        cast(
            case event_type when 'purchase' then coalesce(discount_amount, 0) when 'discount' then amount else 0 end
            as decimal(18, 4)
        ) as discounts,
        cast(case when event_type = 'return' then amount else 0 end as decimal(18, 4)) as returned_revenue,
        cast(case when event_type = 'refund' then amount else 0 end as decimal(18, 4)) as refunds,
        cast(
            case
                when event_type = 'purchase' then amount
                when event_type in ('discount', 'return', 'refund') then -amount
                else 0
            end as decimal(18, 4)
        ) as net_revenue,
        cast(
            case
                when event_type = 'tax' then amount
                when event_type in ('return', 'refund', 'charge_refund', 'discount') then -coalesce(tax_amount, 0)
                else coalesce(tax_amount, 0)
            end as decimal(18, 4)
        ) as tax,
        cast(case when event_type = 'shipping' then amount else 0 end as decimal(18, 4)) as shipping,
        cast(
            case event_type when 'charge' then amount when 'charge_refund' then -amount else 0 end as decimal(18, 4)
        ) as net_charges
    from events

)

select * from final
