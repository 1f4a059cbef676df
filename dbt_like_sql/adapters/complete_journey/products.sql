select
    {{ provenance() }},
    {{ identifier('PRODUCT_ID') }} as product_id,
    "SUB_COMMODITY_DESC" as name,
    coalesce("COMMODITY_DESC", "DEPARTMENT") as category
from {{ landed() }}
