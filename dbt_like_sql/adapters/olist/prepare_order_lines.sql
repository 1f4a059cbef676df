select
    items.order_id,
    items.order_item_id,
    customers.customer_unique_id,
    orders.order_status,
    orders.order_purchase_timestamp,
    items.product_id,
    items.price,
    items.freight_value
from {{ file('items') }} as items
left join {{ file('orders') }} as orders on items.order_id = orders.order_id
left join {{ file('customers') }} as customers on orders.customer_id = customers.customer_id
order by items._file, items._source_row
