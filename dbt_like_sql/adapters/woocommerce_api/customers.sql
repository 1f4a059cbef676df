select
    {{ provenance() }},
    md5(lower({{ identifier('email') }})) as customer_id,
    {{ instant_utc('date_created_gmt') }} as signed_up_at,
    nullif(json_extract_string(billing, '$.country'), '') as country,
    md5(lower({{ identifier('email') }})) as email_hash,
    case when {{ identifier('email') }} is null then 'no_email' end as skip_reason
from {{ landed() }}
