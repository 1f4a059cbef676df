{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- Share of each category in a person's purchases strictly before as_of. There are no rows if the shop has no
-- products table or no categories.

with categories as (

    select
        product_id,
        category
    from {{ ref('stg_catalogue') }}
    where category is not null

),

bought as (

    select
        coalesce(persons.person_id, lines.customer_id) as customer_id,
        categories.category,
        sum(lines.gross_revenue) as gross_revenue
    from {{ ref('stg_order_lines') }} as lines
    inner join categories on lines.product_id = categories.product_id
    left join {{ persons_at_as_of() }} as persons on lines.customer_id = persons.customer_id
    where
        lines.line_type = 'purchase'
        and lines.customer_id is not null
        and lines.event_at < cast('{{ var("as_of") }}' as timestamp)
    group by coalesce(persons.person_id, lines.customer_id), categories.category

),

final as (

    select
        cast('{{ var("as_of") }}' as timestamp) as as_of,
        customer_id,
        category,
        cast(gross_revenue as decimal(18, 4)) as gross_revenue,
        cast(gross_revenue / nullif(sum(gross_revenue) over (partition by customer_id), 0) as double) as share
    from bought

)

select * from final
