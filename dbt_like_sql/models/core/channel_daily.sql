{{ config(
    materialized='incremental',
    incremental_strategy='microbatch',
    event_time='activity_date',
    batch_size='day',
    begin=var('start_date'),
) }}

-- A session or an order belongs to a single channel, the alphabetically first if its events have several, so that
-- channels add up to core.totals_daily.

with browsing as (

    select
        event_date as activity_date,
        event_type,
        -- Sessions are counted from visits only, as in totals_daily.
        case when event_type = 'visit' then coalesce(session_id, event_id) else event_id end as look_id,
        coalesce(min(channel), 'unknown') as channel,
        count(*) as events
    from {{ ref('stg_events') }}
    where event_type in ('visit', 'view', 'add_to_cart')
    group by
        event_date, event_type,
        case when event_type = 'visit' then coalesce(session_id, event_id) else event_id end

),

looked as (

    select
        activity_date,
        channel,
        sum(case when event_type = 'visit' then events else 0 end) as visits,
        count(case when event_type = 'visit' then 1 end) as sessions,
        count(case when event_type = 'view' then 1 end) as views,
        count(case when event_type = 'add_to_cart' then 1 end) as carts
    from browsing
    group by activity_date, channel

),

-- An order is its id and customer, and counts on the day of its first line. Returns without a purchase of their
-- order_id on that day have a channel of their own.
orders as (

    select
        event_date as activity_date,
        order_id,
        customer_id,
        count(purchase_order_id) > 0 as is_order,
        coalesce(
            min(case when line_type = 'purchase' then channel end),
            min(case when line_type = 'return' then channel end),
            'unknown'
        ) as channel,
        sum(gross_revenue) as gross_revenue,
        sum(discounts) as discounts,
        sum(returned_revenue) as returned_revenue,
        0 as refunds
    from {{ ref('stg_order_lines') }}
    where line_type in ('purchase', 'return')
    group by event_date, order_id, customer_id

),

allocations as (

    select
        event_date as activity_date,
        null as order_id,
        null as customer_id,
        false as is_order,
        channel,
        0 as gross_revenue,
        discounts,
        0 as returned_revenue,
        refunds
    from {{ ref('order_allocations') }}

),

money as (

    select * from orders
    union all
    select * from allocations

),

ordered as (

    select
        money.activity_date,
        money.channel,
        sum(case when money.is_order and later.order_id is null then 1 else 0 end) as orders,
        sum(money.gross_revenue) as gross_revenue,
        sum(money.discounts) as discounts,
        sum(money.returned_revenue) as returned_revenue,
        sum(money.refunds) as refunds
    from money
    left join {{ ref('order_continuations') }} as later
        on
            money.activity_date = later.order_date
            and money.order_id = later.order_id
            and money.customer_id is not distinct from later.customer_id
    group by money.activity_date, money.channel

),

final as (

    select
        coalesce(looked.activity_date, ordered.activity_date) as activity_date,
        coalesce(looked.channel, ordered.channel) as channel,
        cast(coalesce(looked.visits, 0) as bigint) as visits,
        coalesce(looked.sessions, 0) as sessions,
        coalesce(looked.views, 0) as views,
        coalesce(looked.carts, 0) as carts,
        cast(coalesce(ordered.orders, 0) as bigint) as orders,
        cast(coalesce(ordered.gross_revenue, 0) as decimal(18, 4)) as gross_revenue,
        cast(coalesce(ordered.discounts, 0) as decimal(18, 4)) as discounts,
        cast(coalesce(ordered.returned_revenue, 0) as decimal(18, 4)) as returned_revenue,
        cast(coalesce(ordered.refunds, 0) as decimal(18, 4)) as refunds,
        cast(
            coalesce(
                ordered.gross_revenue - ordered.discounts - ordered.returned_revenue - ordered.refunds, 0
            ) as decimal(18, 4)
        ) as net_revenue
    from looked
    full outer join ordered
        on looked.activity_date = ordered.activity_date and looked.channel = ordered.channel

)

select * from final
