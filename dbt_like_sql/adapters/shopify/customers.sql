select
    {{ provenance() }},
    md5(lower({{ identifier('Email') }})) as customer_id,
    upper(coalesce("Default Address Country Code", "Country Code")) as country,
    case lower("Accepts Email Marketing") when 'yes' then true when 'no' then false end as consent_marketing,
    md5(lower({{ identifier('Email') }})) as email_hash,
    case when {{ identifier('Email') }} is null then 'no_email' end as skip_reason
from {{ landed() }}
