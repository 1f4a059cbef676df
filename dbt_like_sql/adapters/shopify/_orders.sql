-- The rows of the export with the figures of their order on each of them.
with read_rows as (

    select
        {{ provenance() }},
        {{ time() }} as event_at,
        "Name" as order_id,
        {{ row_id('Name', 'Lineitem name', 'Lineitem sku', 'Lineitem price') }} as line_id,
        {{ row_id('Name') }} as order_event_id,
        row_number() over (partition by _delivery_id, "Name" order by _source_row) = 1 as is_first,
        {{ identifier('Email') }} as email,
        {{ fill_down('Financial Status', 'Name') }} as financial_status,
        {{ fill_down('Cancelled at', 'Name') }} as cancelled_at,
        {{ fill_down('Currency', 'Name') }} as currency,
        coalesce({{ fill_down('Billing Country', 'Name') }}, {{ fill_down('Shipping Country', 'Name') }}) as country,
        {{ fill_down('Source', 'Name') }} as channel,
        "Lineitem name" as line_name,
        {{ identifier('Lineitem sku') }} as sku,
        lower("Lineitem requires shipping") as requires_shipping,
        try_cast({{ number('Lineitem quantity') }} as decimal(18, 4)) as quantity,
        try_cast({{ number('Lineitem price') }} as decimal(18, 4)) as price,
        coalesce(try_cast({{ number('Lineitem discount') }} as decimal(18, 4)), 0) as line_discount,
        try_cast({{ number('Subtotal') }} as decimal(18, 4)) as subtotal,
        try_cast({{ number('Shipping') }} as decimal(18, 4)) as shipping,
        try_cast({{ number('Taxes') }} as decimal(18, 4)) as taxes,
        try_cast({{ number('Duties') }} as decimal(18, 4)) as duties,
        try_cast({{ number('Total') }} as decimal(18, 4)) as total,
        try_cast({{ number('Discount Amount') }} as decimal(18, 4)) as discount,
        try_cast({{ number('Refunded Amount') }} as decimal(18, 4)) as refunded
    from {{ landed() }}

),

kinds as (

    select
        * exclude (line_discount),
        case
            when regexp_matches(lower(line_name), '{{ seed_column('tips', 'pattern') | join('|') }}') then 'tip'
            when
                coalesce(requires_shipping, '') <> 'true'
                and regexp_matches(lower(line_name), '{{ seed_column('gift_cards', 'pattern') | join('|') }}')
                then 'gift_card'
            else 'product'
        end as kind,
        coalesce(try_cast(quantity * price as decimal(18, 4)), 0) as line_total,
        case when line_discount between 0 and quantity * price then line_discount else 0 end as line_discount
    from read_rows

),

orders as (

    select
        *,
        sum(case when kind = 'tip' then 0 else line_total end) over by_order as lines_total,
        sum(case when kind = 'tip' then line_total else 0 end) over by_order as tips,
        sum(case when kind = 'product' then line_total else 0 end) over by_order as products_total,
        sum(line_discount) over by_order as line_discounts,
        max(subtotal) over by_order as order_subtotal,
        coalesce(max(shipping) over by_order, 0) as order_shipping,
        coalesce(max(taxes) over by_order, 0) as order_taxes,
        coalesce(max(duties) over by_order, 0) as order_duties,
        max(total) over by_order as order_total,
        coalesce(max(discount) over by_order, 0) as order_discount,
        coalesce(max(refunded) over by_order, 0) as refunded_amount,
        coalesce(financial_status in ('voided', 'expired') or cancelled_at is not null, false) as deleted
    from kinds
    window by_order as (partition by _delivery_id, order_id)

),

-- What was taken off the lines. Without a subtotal that explains it, all discounts were.
discounted as (

    select
        *,
        case
            when order_subtotal is null then greatest(order_discount, line_discounts)
            when
                lines_total - order_subtotal between 0 and order_discount + line_discounts
                and order_discount - (lines_total - order_subtotal) <= order_shipping
                then lines_total - order_subtotal
            else least(greatest(order_discount, line_discounts), lines_total)
        end as off_lines
    from orders

),

-- Whether taxes are on top of prices, and whether Shipping is before its discount: as the total says.
balanced as (

    select
        *,
        greatest(order_discount - off_lines, 0) as off_shipping,
        lines_total - off_lines + order_shipping + order_duties + tips as before_taxes,
        line_discounts <= off_lines as has_line_discounts
    from discounted

),

totals as (

    select
        *,
        case
            when order_total is null then true
            when order_total = before_taxes + order_taxes or order_total = before_taxes + order_taxes - tips then true
            when order_total = before_taxes or order_total = before_taxes - tips then false
            when order_total = before_taxes - off_shipping + order_taxes then true
            when order_total = before_taxes - off_shipping then false
            else abs(order_total - before_taxes - order_taxes) <= abs(order_total - before_taxes)
        end as is_taxed_on_top,
        off_shipping > 0 and off_shipping <= order_shipping and coalesce(
            order_total not in (before_taxes, before_taxes + order_taxes)
            and order_total in (before_taxes - off_shipping, before_taxes - off_shipping + order_taxes),
            false
        ) as is_shipping_before_discount
    from balanced

),

amounts as (

    select
        *,
        case when has_line_discounts then off_lines - line_discounts else off_lines end as discount_amount,
        order_shipping - case when is_shipping_before_discount then off_shipping else 0 end as shipping_amount,
        case when is_taxed_on_top then order_taxes + order_duties else order_duties end as tax_amount,
        greatest(products_total - off_lines, 0) as products_amount,
        case
            when financial_status = 'refunded' and refunded_amount = 0 then coalesce(order_total, 0)
            else refunded_amount
        end as refund_amount
    from totals

),

refunds as (

    select
        *,
        least(refund_amount, products_amount) as products_refund,
        least(refund_amount - least(refund_amount, products_amount), shipping_amount) as shipping_refund
    from amounts

),

final as (

    select
        *,
        least(refund_amount - products_refund - shipping_refund, tax_amount) as tax_refund,
        greatest(refund_amount - products_refund - shipping_refund - tax_amount, 0) as other_refund,
        case when not deleted then md5(lower(email)) end as customer_id
    from refunds

)

select * from final
