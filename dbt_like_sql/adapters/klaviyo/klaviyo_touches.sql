select
    {{ provenance() }},
    'klaviyo/' || message || '/' || profile_id as touch_id,
    md5(lower({{ identifier('email') }})) as customer_id,
    {{ time() }} as sent_at,
    coalesce(campaign, message) as campaign_id,
    channel,
    {{ instant_utc('opened_at') }} as opened_at,
    {{ instant_utc('clicked_at') }} as clicked_at,
    case
        when sent_at is null then 'not_received'
        when {{ identifier('email') }} is null then 'no_email'
    end as skip_reason
from {{ landed() }}
