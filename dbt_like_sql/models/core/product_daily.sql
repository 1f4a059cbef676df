{{ config(
    materialized='incremental',
    incremental_strategy='microbatch',
    event_time='sales_date',
    batch_size='day',
    begin=var('start_date'),
) }}

-- Purchases, returns and gifts, including guests; charges are not products.

with lines as (

    select * from {{ ref('stg_order_lines') }}
    where line_type in ('purchase', 'return', 'gift')

),

final as (

    select
        ---------- ids
        event_date as sales_date,
        product_id,
        ---------- counts
        count(distinct purchase_order_id) as orders,
        count(distinct case when line_type = 'purchase' then customer_id end) as buyers,
        cast(sum(units) as bigint) as units,
        cast(sum(returned_units) as bigint) as returned_units,
        cast(sum(case when line_type = 'gift' then 1 else 0 end) as bigint) as gift_lines,
        ---------- money
        cast(sum(gross_revenue) as decimal(18, 4)) as gross_revenue,
        cast(sum(returned_revenue) as decimal(18, 4)) as returned_revenue,
        cast(sum(net_revenue) as decimal(18, 4)) as net_revenue
    from lines
    group by event_date, product_id

)

select * from final
