-- The products that are recommended most: to how many customers, and to how many of them first.
-- needs: marts.recommendations, staging.stg_products
-- columns: product VARCHAR, list VARCHAR, customers BIGINT, first_for BIGINT
select coalesce(products.name, chosen.product_id) as product, chosen.list, count(*) as customers,
    count(*) filter (where chosen.rank = 1) as first_for
from marts.recommendations as chosen
left join staging.stg_products as products on chosen.product_id = products.product_id
where chosen.as_of = getvariable('as_of')
group by chosen.list, chosen.product_id, products.name
qualify row_number() over (partition by chosen.list order by count(*) desc, chosen.product_id) <= 20
order by chosen.list, customers desc, product
