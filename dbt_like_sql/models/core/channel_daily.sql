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

ordered as (

    select
        activity_date,
        channel,
        count(*) as orders,
        sum(gross_revenue) as gross_revenue
    from (
        select
            event_date as activity_date,
            purchase_order_id,
            coalesce(min(channel), 'unknown') as channel,
            sum(gross_revenue) as gross_revenue
        from {{ ref('stg_order_lines') }}
        where purchase_order_id is not null
        group by event_date, purchase_order_id
    ) as orders
    group by activity_date, channel

),

final as (

    select
        coalesce(looked.activity_date, ordered.activity_date) as activity_date,
        coalesce(looked.channel, ordered.channel) as channel,
        cast(coalesce(looked.visits, 0) as bigint) as visits,
        coalesce(looked.sessions, 0) as sessions,
        coalesce(looked.views, 0) as views,
        coalesce(looked.carts, 0) as carts,
        coalesce(ordered.orders, 0) as orders,
        cast(coalesce(ordered.gross_revenue, 0) as decimal(18, 4)) as gross_revenue
    from looked
    full outer join ordered
        on looked.activity_date = ordered.activity_date and looked.channel = ordered.channel

)

select * from final
