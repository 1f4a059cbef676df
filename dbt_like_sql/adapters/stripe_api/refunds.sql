with given as (

    select
        {{ provenance() }},
        {{ time() }} as event_at,
        id,
        charge,
        {{ number('amount') }} as units,
        currency,
        lower(coalesce(status, 'succeeded')) in ('failed', 'canceled') as deleted
    from {{ landed() }}

),

refunds as (

    {{ shared('money') }}

)

select
    {{ provenance() }},
    id as event_id,
    event_at,
    case when not deleted then 'refund' end as event_type,
    charge as order_id,
    line_amount,
    currency,
    deleted,
    case when units = 0 then 'no_amount' end as skip_reason
from refunds
