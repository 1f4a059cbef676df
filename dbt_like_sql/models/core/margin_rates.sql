{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- The shop's own rate needs the unit cost of products with at least half of the revenue of a year.

with sold as (

    select
        as_ofs.as_of,
        sum(daily.net_revenue) as revenue,
        sum(daily.net_revenue) filter (where products.unit_cost is not null) as known_revenue,
        sum((daily.units - daily.returned_units) * products.unit_cost) as cost
    from {{ as_ofs() }} as as_ofs
    left join {{ ref('product_daily') }} as daily
        on as_ofs.as_of_date > daily.sales_date and daily.sales_date >= as_ofs.as_of_date - 365
    left join {{ ref('stg_products') }} as products on daily.product_id = products.product_id
    group by as_ofs.as_of

),

rated as (

    select
        *,
        coalesce(known_revenue > 0 and known_revenue >= revenue / 2, false) as is_known
    from sold

),

final as (

    select
        as_of,
        case when is_known then 'unit costs' else 'setting' end as basis,
        case
            when is_known then greatest(1 - cast(cost as double) / known_revenue, 0)
            else cast({{ var('margin') }} as double)
        end as margin_rate
    from rated

)

select * from final
