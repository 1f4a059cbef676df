select
    {{ provenance() }},
    md5(lower({{ identifier('email') }})) as customer_id,
    {{ instant('created_at') }} as signed_up_at,
    json_extract_string(default_address, '$.country_code') as country,
    case json_extract_string(email_marketing_consent, '$.state')
        when 'subscribed' then true
        when 'unsubscribed' then false
        when 'not_subscribed' then false
    end as consent_marketing,
    md5(lower({{ identifier('email') }})) as email_hash,
    case when {{ identifier('email') }} is null then 'no_email' end as skip_reason
from {{ landed() }}
