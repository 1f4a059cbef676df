{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- Money of each category and person strictly before as_of, and the share of the category in what the person bought.
-- Discounts and refunds of whole orders are spread over the products of the order. There are no rows if the shop has no
-- products table or no categories.

with categories as (

    select
        product_id,
        category
    from {{ ref('stg_catalogue') }}
    where category is not null

),

money as (

    select
        customer_id,
        product_id,
        gross_revenue,
        discounts,
        returned_revenue,
        0 as refunds
    from {{ ref('stg_order_lines') }}
    where
        line_type in ('purchase', 'return')
        and customer_id is not null
        and event_at < cast('{{ var("as_of") }}' as timestamp)
    union all
    select
        customer_id,
        product_id,
        0 as gross_revenue,
        discounts,
        0 as returned_revenue,
        refunds
    from {{ ref('order_allocations') }}
    where customer_id is not null and event_date < cast('{{ var("as_of") }}' as date)

),

summed as (

    select
        coalesce(persons.person_id, money.customer_id) as customer_id,
        categories.category,
        sum(money.gross_revenue) as gross_revenue,
        sum(money.discounts) as discounts,
        sum(money.returned_revenue) as returned_revenue,
        sum(money.refunds) as refunds
    from money
    inner join categories on money.product_id = categories.product_id
    left join {{ persons_at_as_of() }} as persons on money.customer_id = persons.customer_id
    group by coalesce(persons.person_id, money.customer_id), categories.category

),

final as (

    select
        ---------- ids
        cast('{{ var("as_of") }}' as timestamp) as as_of,
        customer_id,
        category,
        ---------- money
        cast(gross_revenue as decimal(18, 4)) as gross_revenue,
        cast(discounts as decimal(18, 4)) as discounts,
        cast(returned_revenue as decimal(18, 4)) as returned_revenue,
        cast(refunds as decimal(18, 4)) as refunds,
        cast(gross_revenue - discounts - returned_revenue - refunds as decimal(18, 4)) as net_revenue,
        cast(gross_revenue / nullif(sum(gross_revenue) over (partition by customer_id), 0) as double) as share
    from summed

)

select * from final
