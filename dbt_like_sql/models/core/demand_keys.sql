{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- The countries, channels, categories and products with their own demand series: those with the most gross revenue
-- in the 365 days before as_of. A level with a single key equals the shop and has no series, except that a single
-- product has one, for its reorder point.

with sold as (

    select
        level,
        key,
        sales_date,
        gross_revenue,
        {{ var('demand_keys') }} as most
    from {{ ref('demand_daily') }}
    union all
    select
        'product' as level,
        product_id as key,
        sales_date,
        gross_revenue,
        {{ var('demand_products') }} as most
    from {{ ref('product_daily') }}

),

recent as (

    select
        level,
        key,
        most,
        sum(gross_revenue) as gross_revenue,
        min(sales_date) as first_sold_on,
        count(*) over (partition by level) as keys_of_level
    from sold
    where
        sales_date >= cast('{{ var("as_of") }}' as date) - 365
        and sales_date < cast('{{ var("as_of") }}' as date)
        and gross_revenue > 0
    group by level, key, most

),

ranked as (

    select
        *,
        row_number() over (partition by level order by gross_revenue desc, key asc) as revenue_rank,
        gross_revenue / sum(gross_revenue) over (partition by level) as revenue_share
    from recent

),

final as (

    select
        cast('{{ var("as_of") }}' as timestamp) as as_of,
        level,
        key,
        cast(gross_revenue as decimal(18, 4)) as gross_revenue,
        cast(revenue_share as double) as revenue_share,
        revenue_rank
    from ranked
    where revenue_rank <= most and (keys_of_level > 1 or level = 'product')

)

select * from final
