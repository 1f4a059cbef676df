with given as (

    select
        {{ provenance() }},
        {{ time() }} as event_at,
        id,
        coalesce(
            md5(lower(nullif(json_extract_string(billing_details, '$.email'), ''))),
            md5(lower(nullif(receipt_email, ''))),
            {{ identifier('customer') }}
        ) as customer_id,
        {{ number('amount') }} as units,
        currency,
        description,
        lower(coalesce(status, '')) = 'succeeded' and lower(coalesce(captured, 'true')) = 'true' as is_paid
    from {{ landed() }}

),

charges as (

    {{ shared('money') }}

)

select
    {{ provenance() }},
    id as event_id,
    event_at,
    customer_id,
    'purchase' as event_type,
    id as order_id,
    'payment' as product_id,
    1 as quantity,
    line_amount,
    currency,
    description,
    case
        when not is_paid then 'not_paid'
        when units = 0 then 'no_amount'
    end as skip_reason
from charges
