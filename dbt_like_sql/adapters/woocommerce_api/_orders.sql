-- The rows of the pulled orders: one for the order, and one for each line and fee.
with read_rows as (

    select
        {{ provenance() }},
        {{ time() }} as event_at,
        id as order_id,
        part,
        part_id,
        json_extract_string(part_json, '$.name') as item_name,
        nullif(json_extract_string(part_json, '$.sku'), '') as sku,
        abs(try_cast(json_extract_string(part_json, '$.quantity') as decimal(18, 4))) as quantity,
        try_cast(json_extract_string(part_json, '$.subtotal') as decimal(18, 4)) as subtotal,
        try_cast(json_extract_string(part_json, '$.total') as decimal(18, 4)) as total,
        lower({{ identifier('status') }}) as status,
        lower(json_extract_string(billing, '$.email')) as email,
        nullif(json_extract_string(billing, '$.country'), '') as country,
        currency,
        coalesce(try_cast({{ number('shipping_total') }} as decimal(18, 4)), 0) as shipping_amount,
        coalesce(try_cast({{ number('total_tax') }} as decimal(18, 4)), 0) as tax_amount
    from {{ landed() }}

),

counted as (

    select
        *,
        regexp_matches(status, 'pending|failed|cancelled|canceled|draft|trash') as deleted
    from read_rows

)

select
    *,
    case when not deleted then md5(nullif(email, '')) end as customer_id
from counted
