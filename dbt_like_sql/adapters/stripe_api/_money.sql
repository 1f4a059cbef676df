-- The rows of `given` with the amount of their `units`, which are the smallest of their currency.
select
    * exclude (currency),
    upper(currency) as currency,
    case
        when regexp_matches(lower(currency), '{{ seed_column('zero_decimals', 'code') | join('|') }}')
            then units
        when regexp_matches(lower(currency), '{{ seed_column('three_decimals', 'code') | join('|') }}')
            then units * 0.001
        else units * 0.01
    end as line_amount
from given
