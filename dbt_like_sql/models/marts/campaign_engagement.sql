{{ config(event_time='contacted_on') }}

-- The segment is that of the snapshot at the Monday on or before the contact, which the contact cannot have changed.

with contacts as (

    select * from {{ ref('campaign_outcomes') }}
    where basis = 'touches'

),

segments as (

    select
        cast(as_of as date) as monday,
        customer_id,
        segment
    from {{ ref('rfm_states') }}

),

final as (

    select
        contacts.campaign_id,
        contacts.channel,
        contacts.arm,
        coalesce(segments.segment, 'no order yet') as segment,
        min(contacts.contacted_on) as contacted_on,
        count(*) as customers,
        avg(case when contacts.is_opened then 1.0 else 0.0 end) as open_rate,
        avg(case when contacts.is_clicked then 1.0 else 0.0 end) as click_rate,
        avg(case when contacts.is_converted then 1.0 else 0.0 end) as conversion_rate,
        -- A sum of decimals does not depend on the order of rows.
        cast(sum(cast(contacts.revenue as decimal(18, 4))) as double) / count(*) as revenue_per_customer
    from contacts
    left join segments
        on
            cast(date_trunc('week', contacts.contacted_on) as date) = segments.monday
            and contacts.customer_id = segments.customer_id
    group by contacts.campaign_id, contacts.channel, contacts.arm, coalesce(segments.segment, 'no order yet')

)

select * from final
