-- Stock at which each of the products that sell most should be ordered again.
-- needs: marts.reorder_points, staging.stg_products
-- columns: product VARCHAR, lead_days BIGINT, expected_demand DOUBLE, safety_stock DOUBLE, reorder_point DOUBLE
select coalesce(products.name, points.product_id) as product, points.lead_days, points.expected_demand,
    points.safety_stock, points.reorder_point
from marts.reorder_points as points
left join staging.stg_products as products on points.product_id = products.product_id
where points.as_of = getvariable('as_of')
    and points.date = (select min(date) from marts.reorder_points where as_of = getvariable('as_of'))
order by points.expected_demand desc, product
limit 25
