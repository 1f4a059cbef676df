{{ config(materialized='view') }}

-- A sparse view: a day without a sale has no row. Python fills in zeros from the first sale to as_of
-- (clm_dagster.domains.demand.series). core.demand_keys lists the series with their own forecast. The rest of a level
-- is forecast as the series `other`, the shop minus these series (clm_dagster.domains.demand.queries).
-- Orders and buyers do not add up over levels; orders and buyers of products are not forecast.

with wide as (

    select
        'shop' as level,
        'all' as key,
        sales_date,
        orders,
        buyers,
        units,
        gross_revenue
    from {{ ref('totals_daily') }}
    union all
    select
        level,
        key,
        sales_date,
        orders,
        buyers,
        units,
        gross_revenue
    from {{ ref('demand_daily') }}
    union all
    select
        'product' as level,
        product_id as key,
        sales_date,
        cast(null as bigint) as orders,
        cast(null as bigint) as buyers,
        units,
        gross_revenue
    from {{ ref('product_daily') }}

),

measures as (

    select unnest(['units', 'revenue', 'orders', 'buyers']) as measure

),

long as (

    select
        wide.level,
        wide.key,
        measures.measure,
        wide.sales_date as day,
        case measures.measure
            when 'units' then cast(wide.units as decimal(18, 4))
            when 'revenue' then cast(wide.gross_revenue as decimal(18, 4))
            when 'orders' then cast(wide.orders as decimal(18, 4))
            when 'buyers' then cast(wide.buyers as decimal(18, 4))
        end as value
    from wide
    cross join measures

),

final as (

    select * from long
    where value <> 0

)

select * from final
