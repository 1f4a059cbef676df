with variants as (

    select
        {{ provenance() }},
        {{ fill_down('Title', 'Handle') }} as title,
        {{ fill_down('Type', 'Handle') }} as category,
        {{ identifier('Variant SKU') }} as sku,
        nullif(nullif(concat_ws(' / ', "Option1 Value", "Option2 Value", "Option3 Value"), ''), 'Default Title')
            as options,
        {{ number('Variant Price') }} as price,
        {{ number('Variant Compare At Price') }} as compare_at_price,
        {{ number('Cost per item') }} as unit_cost
    from {{ landed() }}

)

select
    {{ provenance() }},
    coalesce(sku, concat_ws(' - ', title, options)) as product_id,
    concat_ws(' - ', title, options) as name,
    category,
    greatest(price, compare_at_price) as list_price,
    unit_cost,
    case when price is null then 'no_variant' end as skip_reason
from variants
