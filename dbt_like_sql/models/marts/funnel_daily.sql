-- The funnel from visit to order, by channel. Empty if the source has no visits at all, since a funnel
-- would then show orders without visits.

with days as (

    select * from {{ ref('channel_daily') }}

),

final as (

    select
        activity_date,
        channel,
        ---------- counts
        visits,
        sessions,
        views,
        carts,
        orders,
        ---------- conversion rates
        cast(views as double) / nullif(sessions, 0) as views_per_session,
        cast(carts as double) / nullif(views, 0) as carts_per_view,
        cast(orders as double) / nullif(carts, 0) as orders_per_cart,
        cast(orders as double) / nullif(sessions, 0) as conversion
    from days
    cross join (select max(all_days.visits) as most_visits from days as all_days) as known
    where known.most_visits > 0

)

select * from final
