select
    {{ provenance() }},
    -- An id of a review occurs with several orders.
    review_id || '/' || order_id as review_id,
    customer_unique_id as customer_id,
    product_id,
    {{ time() }} as written_at,
    {{ number('review_score') }} as rating,
    review_comment_message as text,
    case when product_id is null then 'no_item' end as skip_reason
from {{ landed() }}
