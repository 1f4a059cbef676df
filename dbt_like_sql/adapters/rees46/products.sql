select
    {{ provenance() }},
    product_id,
    concat_ws(' ', "brand", product_id) as name,
    category
from {{ landed() }}
