with included as (

    select distinct
        json_extract_string(item, '$.type') as kind,
        json_extract_string(item, '$.id') as id,
        json_extract_string(item, '$.attributes.name') as name,
        json_extract_string(item, '$.attributes.email') as email
    from (
        select unnest(from_json(included, '["json"]')) as item
        from {{ file('events') }}
    )

),

events as (

    select
        json_extract_string(item, '$.attributes.datetime') as event_at,
        json_extract_string(item, '$.relationships.profile.data.id') as profile_id,
        json_extract_string(item, '$.relationships.metric.data.id') as metric_id,
        json_extract_string(item, '$.attributes.event_properties."$message"') as message,
        json_extract_string(item, '$.attributes.event_properties."Campaign Name"') as campaign
    from (
        select unnest(from_json(data, '["json"]')) as item
        from {{ file('events') }}
    )

)

select
    coalesce(events.message, events.campaign) as message,
    max(events.campaign) as campaign,
    max(profiles.email) as email,
    events.profile_id,
    case when max(metrics.name) like '%SMS' then 'sms' else 'email' end as channel,
    min(case when metrics.name in ('Received Email', 'Received SMS') then events.event_at end) as sent_at,
    min(case when metrics.name = 'Opened Email' then events.event_at end) as opened_at,
    min(case when metrics.name in ('Clicked Email', 'Clicked SMS') then events.event_at end) as clicked_at
from events
inner join included as metrics on events.metric_id = metrics.id and metrics.kind = 'metric'
left join included as profiles on events.profile_id = profiles.id and profiles.kind = 'profile'
where metrics.name in ('Received Email', 'Opened Email', 'Clicked Email', 'Received SMS', 'Clicked SMS')
group by coalesce(events.message, events.campaign), events.profile_id
order by message, events.profile_id
