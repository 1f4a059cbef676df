select
    {{ provenance() }},
    id as event_id,
    {{ time() }} as event_at,
    coalesce(md5(lower({{ identifier('Customer Email') }})), {{ identifier('Customer ID') }}) as customer_id,
    'purchase' as event_type,
    id as order_id,
    'payment' as product_id,
    1 as quantity,
    {{ number('Amount') }} as line_amount,
    "Currency" as currency,
    "Description" as description,
    case
        when
            not regexp_matches(lower("Status"), '^(paid|succeeded|refunded|partially refunded|partial refund|disputed)')
            or lower("Captured") = 'false'
            then 'not_paid'
    end as skip_reason
from {{ landed() }}
