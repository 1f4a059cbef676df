{{ config(
    materialized='incremental',
    incremental_strategy='microbatch',
    event_time='order_date',
    batch_size='day',
    begin=var('start_date'),
) }}

-- The money of each order by day. Discounts and refunds of whole orders are in core.order_allocations.

with lines as (

    select * from {{ ref('stg_order_lines') }}
    where line_type not in ('discount', 'refund')

),

final as (

    select
        ---------- ids
        event_date as order_date,
        order_id,
        customer_id,
        ---------- counts
        min(case when line_type = 'purchase' then event_at end) as first_purchase_at,
        count(purchase_order_id) as lines,
        cast(sum(units) as decimal(18, 4)) as units,
        cast(sum(returned_units) as decimal(18, 4)) as returned_units,
        ---------- money
        cast(sum(gross_revenue) as decimal(18, 4)) as gross_revenue,
        cast(sum(discounts) as decimal(18, 4)) as discounts,
        cast(sum(returned_revenue) as decimal(18, 4)) as returned_revenue,
        cast(sum(tax) as decimal(18, 4)) as tax,
        cast(sum(shipping) as decimal(18, 4)) as shipping,
        cast(sum(net_charges) as decimal(18, 4)) as net_charges
    from lines
    group by event_date, order_id, customer_id

)

select * from final
