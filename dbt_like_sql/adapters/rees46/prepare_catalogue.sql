select
    product_id,
    coalesce(max(category_code), max(category_id)) as category,
    max(brand) as brand
from {{ file('events') }}
where product_id is not null
group by product_id
order by product_id
