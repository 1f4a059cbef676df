select
    {{ provenance() }},
    coalesce({{ identifier('sku') }}, name) as product_id,
    name,
    json_extract_string(categories, '$[0].name') as category,
    coalesce({{ number('regular_price') }}, {{ number('price') }}) as list_price
from {{ landed() }}
