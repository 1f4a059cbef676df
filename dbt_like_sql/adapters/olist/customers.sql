select
    {{ provenance() }},
    customer_unique_id as customer_id,
    'BR' as country
from {{ landed() }}
