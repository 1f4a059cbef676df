with source as (

    select
        {{ provenance() }},
        {{
            row_id(
                'Invoice', 'StockCode', 'Description', 'Quantity', 'InvoiceDate', 'Price', 'Customer ID', 'Country',
                equal_rows='duplicate'
            )
        }} as event_id,
        {{ time() }} as event_at,
        nullif(trim("Invoice"), '') as invoice,
        nullif(upper(trim("StockCode")), '') as stock_code,
        nullif(trim("Description"), '') as description,
        {{ whole('Quantity') }} as quantity,
        try_cast("Price" as decimal(18, 4)) as price,
        nullif(regexp_replace(trim("Customer ID"), '\.0+$', ''), '') as customer_id,
        nullif(trim("Country"), '') as country
    from {{ landed() }}

),

flagged as (

    select
        *,
        coalesce(starts_with(upper(invoice), 'C'), false) as is_cancellation,
        coalesce(
            regexp_matches(stock_code, '{{ seed_column('online_retail_ii_product_codes', 'pattern') | join('|') }}'),
            false
        ) as is_product
    from source

)

select
    {{ provenance() }},
    event_id,
    event_at,
    customer_id,
    case
        when is_cancellation and is_product then 'return'
        when is_cancellation then 'charge_refund'
        when not is_product then 'charge'
        when price = 0 then 'gift'
        else 'purchase'
    end as event_type,
    invoice as order_id,
    stock_code as product_id,
    case when is_cancellation then -quantity else quantity end as quantity,
    price as unit_price,
    'GBP' as currency,
    country,
    description,
    case
        when invoice is null then 'no_invoice'
        when stock_code is null then 'no_stock_code'
        when quantity < 0 and not is_cancellation then 'negative_quantity'
        when quantity > 0 and is_cancellation then 'positive_quantity_on_cancellation'
        when price < 0 then 'negative_price'
    end as reject_reason
from flagged
