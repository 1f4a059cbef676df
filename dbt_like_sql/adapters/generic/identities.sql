select
    {{ provenance() }},
    {{ contract_columns() }}
from {{ landed() }}
