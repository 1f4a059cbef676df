{{ config(event_time='as_of') }}

-- A view, and sparse: a day without a sale has no row. Dense, it would be mostly zeros, once for each as_of;
-- the models fill them in from first sale to as_of (clm_dagster.demand.series).
-- `other` is the shop less the level's own series, so that every level adds up to the shop's units and
-- revenue. Orders and buyers do not add up, and have no `other`; buyers of a product are not forecast.

with snapshots as (

    select distinct as_of from {{ ref('demand_keys') }}

),

shop as (

    select
        snapshots.as_of,
        totals.sales_date,
        totals.orders,
        totals.buyers,
        totals.units,
        totals.gross_revenue
    from {{ ref('totals_daily') }} as totals
    inner join snapshots on totals.sales_date < cast(snapshots.as_of as date)

),

own as (

    select
        keys.as_of,
        keys.level,
        keys.key,
        daily.sales_date,
        daily.orders,
        daily.buyers,
        daily.units,
        daily.gross_revenue
    from {{ ref('demand_keys') }} as keys
    inner join {{ ref('demand_daily') }} as daily
        on
            keys.level = daily.level and keys.key = daily.key
            and daily.sales_date < cast(keys.as_of as date)
    union all
    select
        keys.as_of,
        keys.level,
        keys.key,
        daily.sales_date,
        daily.orders,
        cast(null as bigint) as buyers,
        daily.units,
        daily.gross_revenue
    from {{ ref('demand_keys') }} as keys
    inner join {{ ref('product_daily') }} as daily
        on
            keys.level = 'product' and keys.key = daily.product_id
            and daily.sales_date < cast(keys.as_of as date)

),

levels as (

    select distinct
        as_of,
        level
    from {{ ref('demand_keys') }}

),

owned as (

    select
        as_of,
        level,
        sales_date,
        sum(units) as units,
        sum(gross_revenue) as gross_revenue
    from own
    group by as_of, level, sales_date

),

others as (

    select
        shop.as_of,
        levels.level,
        'other' as key,
        shop.sales_date,
        shop.units - coalesce(owned.units, 0) as units,
        shop.gross_revenue - coalesce(owned.gross_revenue, 0) as gross_revenue
    from shop
    inner join levels on shop.as_of = levels.as_of
    left join owned
        on levels.as_of = owned.as_of and levels.level = owned.level and shop.sales_date = owned.sales_date

),

wide as (

    select
        as_of,
        'shop' as level,
        'all' as key,
        sales_date,
        orders,
        buyers,
        units,
        gross_revenue
    from shop
    union all
    select * from own
    union all
    select
        as_of,
        level,
        key,
        sales_date,
        cast(null as bigint) as orders,
        cast(null as bigint) as buyers,
        units,
        gross_revenue
    from others

),

measures as (

    select unnest(['units', 'revenue', 'orders', 'buyers']) as measure

),

long as (

    select
        wide.as_of,
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
