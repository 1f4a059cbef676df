-- The pulled refunds. Amounts of their lines are below zero.
with read_rows as (

    select
        {{ provenance() }},
        {{ time() }} as event_at,
        id,
        parent_id as order_id,
        abs(try_cast({{ number('amount') }} as decimal(18, 4))) as amount,
        coalesce(list_sum(list_transform(
            from_json(shipping_lines, '["json"]'),
            lambda s: abs(try_cast(json_extract_string(s, '$.total') as decimal(18, 4)))
        )), 0) as shipping,
        coalesce(list_sum(list_transform(
            list_concat(from_json(line_items, '["json"]'), from_json(shipping_lines, '["json"]')),
            lambda l: abs(try_cast(json_extract_string(l, '$.total_tax') as decimal(18, 4)))
        )), 0) as tax
    from {{ landed() }}

)

select
    *,
    least(amount, shipping) as shipping_refund,
    least(amount - least(amount, shipping), tax) as tax_refund
from read_rows
