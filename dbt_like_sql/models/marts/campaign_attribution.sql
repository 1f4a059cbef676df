-- Shares of orders that followed contacts, not effects: customers who would have ordered anyway count in full.

with contacts as (

    select
        touch_id,
        customer_id,
        campaign_id,
        channel,
        sent_at,
        cost
    from {{ ref('stg_touches') }}
    where
        campaign_id is not null
        {% for arm in var('actions_control_arms').split(',') %}
            and coalesce(arm, '') <> '{{ arm.strip() }}'
        {% endfor %}

),

pairs as (

    select
        orders.order_id,
        orders.customer_id,
        orders.net_revenue,
        contacts.campaign_id,
        contacts.channel,
        row_number() over (
            partition by orders.order_id, orders.customer_id order by contacts.sent_at, contacts.touch_id
        ) as position,
        count(*) over (partition by orders.order_id, orders.customer_id) as touches
    from {{ ref('orders') }} as orders
    inner join contacts
        on
            orders.customer_id = contacts.customer_id
            and orders.ordered_at > contacts.sent_at
            and cast(contacts.sent_at as date) > orders.order_date - {{ var('actions_window_days') }}

),

weighted as (

    select
        *,
        case when position = touches then 1.0 else 0.0 end as last_touch,
        case
            when touches = 1 then 1.0
            when touches = 2 then 0.5
            when position in (1, touches) then 0.4
            else 0.2 / (touches - 2)
        end as position_based
    from pairs

),

attributed as (

    select
        campaign_id,
        channel,
        sum(last_touch) as last_touch_orders,
        -- Sums of decimals do not depend on the order of rows.
        sum(cast(position_based as decimal(38, 15))) as position_based_orders,
        sum(case when last_touch = 1 then net_revenue else 0 end) as last_touch_revenue,
        sum(cast(position_based * cast(net_revenue as double) as decimal(38, 15))) as position_based_revenue
    from weighted
    group by campaign_id, channel

),

campaigns as (

    select
        campaign_id,
        channel,
        count(*) as contacts,
        cast(sum(cost) as double) as cost
    from contacts
    group by campaign_id, channel

),

results as (

    select * from {{ source('marts', 'campaign_results') }}
    where basis = 'touches' and status = 'measured' and metric = 'revenue'

),

newest as (

    select max(as_of) as as_of from results

),

measured as (

    select
        results.campaign_id,
        sum(results.incremental_total) as incremental_revenue
    from results
    inner join newest on results.as_of = newest.as_of
    group by results.campaign_id

),

final as (

    select
        campaigns.campaign_id,
        campaigns.channel,
        campaigns.contacts,
        campaigns.cost,
        coalesce(cast(attributed.last_touch_orders as double), 0) as last_touch_orders,
        coalesce(cast(attributed.position_based_orders as double), 0) as position_based_orders,
        coalesce(cast(attributed.last_touch_revenue as double), 0) as last_touch_revenue,
        coalesce(cast(attributed.position_based_revenue as double), 0) as position_based_revenue,
        measured.incremental_revenue as measured_revenue
    from campaigns
    left join attributed
        on
            campaigns.campaign_id = attributed.campaign_id
            and campaigns.channel is not distinct from attributed.channel
    left join measured on campaigns.campaign_id = measured.campaign_id

)

select * from final
