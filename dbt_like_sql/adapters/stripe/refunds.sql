select
    {{ provenance() }},
    id || '/refund' as event_id,
    {{ time() }} as event_at,
    coalesce(md5(lower({{ identifier('Customer Email') }})), {{ identifier('Customer ID') }}) as customer_id,
    'refund' as event_type,
    id as order_id,
    {{ number('Amount Refunded') }} as line_amount,
    "Currency" as currency,
    "Description" as description,
    case
        when
            not regexp_matches(lower("Status"), '^(paid|succeeded|refunded|partially refunded|partial refund|disputed)')
            or lower("Captured") = 'false'
            then 'not_paid'
        when coalesce({{ number('Amount Refunded') }}, 0) = 0 then 'no_refund'
    end as skip_reason
from {{ landed() }}
