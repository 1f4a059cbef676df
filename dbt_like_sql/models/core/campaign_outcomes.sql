{{ config(event_time='matures_on') }}

-- The day of the contact counts as a whole, in every arm: orders earlier on that day are as likely in each.

with contacts as (

    select
        *,
        cast(contacted_at as date) as contacted_on
    from {{ ref('campaign_contacts') }}

),

days as (

    select
        customer_id,
        activity_date,
        orders,
        net_revenue
    from {{ ref('customer_daily') }}

),

final as (

    select
        contacts.basis,
        contacts.campaign_id,
        contacts.customer_id,
        contacts.contacted_on,
        contacts.contacted_on + {{ var('actions_window_days') }} as matures_on,
        contacts.arm,
        contacts.channel,
        contacts.cost,
        contacts.is_opened,
        contacts.is_clicked,
        coalesce(sum(days.orders) filter (where days.activity_date >= contacts.contacted_on), 0) > 0 as is_converted,
        -- Sums of decimals do not depend on the order of rows.
        cast(
            coalesce(sum(days.net_revenue) filter (where days.activity_date >= contacts.contacted_on), 0) as double
        ) as revenue,
        cast(
            coalesce(sum(days.net_revenue) filter (where days.activity_date < contacts.contacted_on), 0) as double
        ) as prior_revenue
    from contacts
    left join days
        on
            contacts.customer_id = days.customer_id
            and days.activity_date >= contacts.contacted_on - 180
            and days.activity_date < contacts.contacted_on + {{ var('actions_window_days') }}
    group by all

)

select * from final
