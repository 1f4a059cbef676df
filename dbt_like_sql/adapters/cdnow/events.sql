with source as (

    select
        {{ provenance() }},
        {{ row_id('customer_id', 'date', 'number_of_cds', 'dollar_value', equal_rows='duplicate') }} as event_id,
        {{ time() }} as event_at,
        nullif(trim("customer_id"), '') as customer_id,
        {{ whole('number_of_cds') }} as number_of_cds,
        try_cast("dollar_value" as decimal(18, 4)) as dollar_value
    from {{ landed() }}

)

select
    {{ provenance() }},
    event_id,
    event_at,
    customer_id,
    'purchase' as event_type,
    event_id as order_id,
    'cds' as product_id,
    1 as quantity,
    dollar_value as unit_price,
    'USD' as currency,
    number_of_cds || ' CDs' as description,
    case
        when customer_id is null then 'no_customer'
        when dollar_value < 0 then 'negative_value'
    end as reject_reason
from source
