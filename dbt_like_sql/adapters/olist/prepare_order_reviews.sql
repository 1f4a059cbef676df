with first_items as (

    select
        order_id,
        arg_min(product_id, try_cast(order_item_id as bigint)) as product_id
    from {{ file('items') }}
    group by order_id

)

select
    reviews.review_id,
    reviews.order_id,
    first_items.product_id,
    customers.customer_unique_id,
    reviews.review_score,
    reviews.review_comment_message,
    reviews.review_creation_date
from {{ file('reviews') }} as reviews
left join first_items on reviews.order_id = first_items.order_id
left join {{ file('orders') }} as orders on reviews.order_id = orders.order_id
left join {{ file('customers') }} as customers on orders.customer_id = customers.customer_id
order by reviews._file, reviews._source_row
