select
    {{ provenance() }},
    'mailchimp/' || campaign_id || '/' || email_id as touch_id,
    md5(lower({{ identifier('email_address') }})) as customer_id,
    {{ time() }} as sent_at,
    coalesce(title, campaign_id) as campaign_id,
    'email' as channel,
    {{ instant_utc('opened_at') }} as opened_at,
    {{ instant_utc('clicked_at') }} as clicked_at
from {{ landed() }}
