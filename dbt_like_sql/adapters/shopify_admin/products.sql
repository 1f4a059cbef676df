with variants as (

    select
        {{ provenance() }},
        title,
        product_type,
        part,
        nullif(json_extract_string(part_json, '$.sku'), '') as sku,
        nullif(json_extract_string(part_json, '$.title'), 'Default Title') as options,
        try_cast(json_extract_string(part_json, '$.price') as decimal(18, 4)) as price,
        try_cast(json_extract_string(part_json, '$.compare_at_price') as decimal(18, 4)) as compare_at_price
    from {{ landed() }}

)

select
    {{ provenance() }},
    coalesce(sku, concat_ws(' - ', title, options)) as product_id,
    concat_ws(' - ', title, options) as name,
    nullif(product_type, '') as category,
    greatest(price, compare_at_price) as list_price,
    case when part <> 'variants' then 'other_part' end as skip_reason
from variants
