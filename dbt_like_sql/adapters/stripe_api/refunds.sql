with refunds as (

    select
        {{ provenance() }},
        {{ time() }} as event_at,
        id,
        charge,
        {{ number('amount') }} as units,
        currency,
        lower(coalesce(status, 'succeeded')) in ('failed', 'canceled') as deleted
    from {{ landed() }}

)

select
    {{ provenance() }},
    id as event_id,
    event_at,
    case when not deleted then 'refund' end as event_type,
    charge as order_id,
    case
        when regexp_matches(lower(currency), '{{ seed_column('zero_decimals', 'code') | join('|') }}')
            then units
        when regexp_matches(lower(currency), '{{ seed_column('three_decimals', 'code') | join('|') }}')
            then units * 0.001
        else units * 0.01
    end as line_amount,
    upper(currency) as currency,
    deleted,
    case when units = 0 then 'no_amount' end as skip_reason
from refunds
