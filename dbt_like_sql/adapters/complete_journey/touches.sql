select
    {{ provenance() }},
    'campaign ' || campaign || ' household ' || household_key as touch_id,
    household_key as customer_id,
    {{ time() }} as sent_at,
    campaign as campaign_id,
    'mail' as channel
from {{ landed() }}
