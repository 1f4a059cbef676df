{{ config(
    materialized='incremental',
    incremental_strategy='microbatch',
    event_time='sales_date',
    batch_size='day',
    begin=var('start_date'),
) }}

-- The shop's totals of each day with any event, including guests.

with events as (

    select
        event_date as sales_date,
        count(case when event_type = 'visit' then 1 end) as visits,
        count(distinct case when event_type = 'visit' then coalesce(session_id, event_id) end) as sessions
    from {{ ref('stg_events') }}
    group by event_date

),

sold as (

    select
        event_date as sales_date,
        count(distinct purchase_order_id) as orders,
        count(distinct case when line_type = 'purchase' then customer_id end) as buyers,
        count(distinct case when customer_id is null then purchase_order_id end) as guest_orders,
        sum(units) as units,
        sum(gross_revenue) as gross_revenue,
        sum(returned_revenue) as returned_revenue,
        sum(net_revenue) as net_revenue,
        sum(net_charges) as net_charges
    from {{ ref('stg_order_lines') }}
    group by event_date

),

final as (

    select
        events.sales_date,
        ---------- counts
        coalesce(sold.orders, 0) as orders,
        coalesce(sold.buyers, 0) as buyers,
        coalesce(sold.guest_orders, 0) as guest_orders,
        cast(coalesce(sold.units, 0) as bigint) as units,
        events.visits,
        events.sessions,
        ---------- money
        cast(coalesce(sold.gross_revenue, 0) as decimal(18, 4)) as gross_revenue,
        cast(coalesce(sold.returned_revenue, 0) as decimal(18, 4)) as returned_revenue,
        cast(coalesce(sold.net_revenue, 0) as decimal(18, 4)) as net_revenue,
        cast(coalesce(sold.net_charges, 0) as decimal(18, 4)) as net_charges
    from events
    left join sold on events.sales_date = sold.sales_date

)

select * from final
