with recipients as (

    select
        json_extract_string(recipient, '$.campaign_id') as campaign_id,
        json_extract_string(recipient, '$.email_id') as email_id,
        json_extract_string(recipient, '$.email_address') as email_address,
        coalesce(from_json(json_extract(recipient, '$.activity'), '["json"]'), []) as steps
    from (
        select unnest(from_json(emails, '["json"]')) as recipient
        from {{ file('activity') }}
    )

),

campaigns as (

    select
        json_extract_string(campaign, '$.id') as id,
        max(json_extract_string(campaign, '$.send_time')) as send_time,
        max(json_extract_string(campaign, '$.settings.title')) as title
    from (
        select unnest(from_json(campaigns, '["json"]')) as campaign
        from {{ file('campaigns') }}
    )
    group by id

)

select
    recipients.campaign_id,
    campaigns.title,
    recipients.email_id,
    recipients.email_address,
    campaigns.send_time,
    list_min(
        list_transform(
            list_filter(recipients.steps, lambda s: json_extract_string(s, '$.action') = 'open'),
            lambda s: json_extract_string(s, '$.timestamp')
        )
    ) as opened_at,
    list_min(
        list_transform(
            list_filter(recipients.steps, lambda s: json_extract_string(s, '$.action') = 'click'),
            lambda s: json_extract_string(s, '$.timestamp')
        )
    ) as clicked_at
from recipients
left join campaigns on recipients.campaign_id = campaigns.id
order by recipients.campaign_id, recipients.email_id
