select
    {{ provenance() }},
    md5(lower({{ identifier('Email') }})) as customer_id,
    {{ instant('Customer Since') }} as signed_up_at,
    "Country" as country,
    try_cast(regexp_extract("Date of Birth", '(19|20)[0-9]{2}') as integer) as birth_year,
    lower({{ identifier('Gender') }}) as gender,
    md5(lower({{ identifier('Email') }})) as email_hash,
    case when {{ identifier('Email') }} is null then 'no_email' end as skip_reason
from {{ landed() }}
