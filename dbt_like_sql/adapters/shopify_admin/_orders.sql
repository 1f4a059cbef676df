-- The rows of the pulled orders: one for the order, one for each line and one for each refund.
with read_rows as (

    select
        {{ provenance() }},
        {{ time() }} as event_at,
        name as order_id,
        id,
        part,
        part_id,
        part_json,
        {{ identifier('email') }} as email,
        currency,
        coalesce(
            json_extract_string(billing_address, '$.country_code'),
            json_extract_string(shipping_address, '$.country_code')
        ) as country,
        source_name as channel,
        coalesce(lower(test) = 'true', false) as is_test,
        coalesce(lower(taxes_included) = 'true', false) as has_taxes_in_prices,
        coalesce(financial_status in ('voided', 'expired') or cancelled_at is not null, false) as deleted,
        coalesce(try_cast({{ number('total_tax') }} as decimal(18, 4)), 0) as total_tax,
        coalesce(list_sum(list_transform(
            from_json(shipping_lines, '["json"]'),
            lambda s: try_cast(
                coalesce(json_extract_string(s, '$.discounted_price'), json_extract_string(s, '$.price'))
                as decimal(18, 4)
            )
        )), 0) as shipping_amount,
        coalesce(list_sum(list_transform(
            list_filter(
                from_json(json_extract(part_json, '$.transactions'), '["json"]'),
                lambda t: json_extract_string(t, '$.kind') = 'refund'
                and json_extract_string(t, '$.status') = 'success'
            ),
            lambda t: try_cast(json_extract_string(t, '$.amount') as decimal(18, 4))
        )), 0) as paid_back,
        coalesce(list_sum(list_transform(
            from_json(json_extract(part_json, '$.refund_line_items'), '["json"]'),
            lambda l: try_cast(json_extract_string(l, '$.subtotal') as decimal(18, 4))
        )), 0) as lines_back,
        coalesce(list_sum(list_transform(
            from_json(json_extract(part_json, '$.refund_line_items'), '["json"]'),
            lambda l: try_cast(json_extract_string(l, '$.total_tax') as decimal(18, 4))
        )), 0) as lines_tax_back,
        list_filter(
            from_json(json_extract(part_json, '$.order_adjustments'), '["json"]'),
            lambda a: json_extract_string(a, '$.kind') = 'shipping_refund'
        ) as shipping_back,
        coalesce(len(list_filter(
            from_json(json_extract(part_json, '$.order_adjustments'), '["json"]'),
            lambda a: json_extract_string(a, '$.kind') = 'refund_discrepancy'
        )), 0) > 0 as has_discrepancy
    from {{ landed() }}

),

amounts as (

    select
        * exclude (shipping_back),
        coalesce(list_sum(list_transform(
            shipping_back, lambda a: abs(try_cast(json_extract_string(a, '$.amount') as decimal(18, 4)))
        )), 0) as shipping_price_back,
        coalesce(list_sum(list_transform(
            shipping_back, lambda a: abs(try_cast(json_extract_string(a, '$.tax_amount') as decimal(18, 4)))
        )), 0) as shipping_tax_back
    from read_rows

),

refunds as (

    select
        *,
        case
            when paid_back > 0 or has_discrepancy then paid_back
            when has_taxes_in_prices then lines_back
            else lines_back + lines_tax_back
        end as refund_amount,
        case when has_taxes_in_prices then 0 else lines_tax_back + shipping_tax_back end as tax_back
    from amounts

),

shares as (

    select
        *,
        least(refund_amount, shipping_price_back) as shipping_refund,
        least(refund_amount - least(refund_amount, shipping_price_back), tax_back) as tax_refund
    from refunds

)

select
    *,
    refund_amount - shipping_refund - tax_refund as products_refund,
    case when not deleted then md5(lower(email)) end as customer_id,
    case when is_test then 'test_order' end as test_reason
from shares
