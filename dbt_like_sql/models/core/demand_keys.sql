{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- The countries, channels, categories and products with their own demand series: those with the most gross revenue
-- in the 365 days before as_of. A level with a single key equals the shop and has no series, except that a single
-- product has one, for its reorder point.

with as_ofs as (

    select * from {{ as_ofs() }} as instants

),

ends as (

    select
        min(as_of_date) as first_date,
        max(as_of_date) as last_date,
        count(*) + 1 as end_n
    from as_ofs

),

sold as (

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

-- The number of the first snapshot after each date, and of the first with the date more than 365 days before as_of.
numbers as (

    select
        dates.sales_date,
        count(case when as_ofs.as_of_date <= dates.sales_date then 1 end) + 1 as n,
        count(case when as_ofs.as_of_date <= dates.sales_date + 365 then 1 end) + 1 as later_n
    from (
        select {{ date_series('first_date - 365', 'last_date - 1', 'day') }} as sales_date from ends
    ) as dates
    cross join as_ofs
    group by dates.sales_date

),

daily as (

    select
        sold.level,
        sold.key,
        sold.most,
        numbers.n,
        numbers.later_n,
        sum(sold.gross_revenue) as gross_revenue,
        count(*) as days
    from sold
    inner join numbers on sold.sales_date = numbers.sales_date
    where sold.gross_revenue > 0
    group by sold.level, sold.key, sold.most, numbers.n, numbers.later_n

),

changes as (

    select
        level,
        key,
        most,
        n,
        sum(gross_revenue) as gross_revenue,
        sum(days) as days
    from (
        select
            level,
            key,
            most,
            n,
            gross_revenue,
            days
        from daily
        union all
        select
            level,
            key,
            most,
            later_n as n,
            -gross_revenue as gross_revenue,
            -days as days
        from daily
    ) as changes
    group by level, key, most, n

),

states as (

    select
        changes.level,
        changes.key,
        changes.most,
        changes.n,
        {{ next_number('changes.n', 'ends.end_n') }} as end_n,
        {{ running('sum', 'changes.gross_revenue') }} as gross_revenue,
        {{ running('sum', 'changes.days') }} as days
    from changes
    cross join ends
    where changes.n < ends.end_n
    window so_far as (
        partition by changes.level, changes.key, changes.most
        order by changes.n
        rows between unbounded preceding and current row
    )

),

held as (

    select
        level,
        key,
        most,
        gross_revenue,
        {{ number_series('n', 'end_n') }} as n
    from states
    where days > 0

),

recent as (

    select
        as_ofs.as_of,
        held.level,
        held.key,
        held.most,
        held.gross_revenue,
        count(*) over (partition by as_ofs.as_of, held.level) as keys_of_level
    from held
    inner join as_ofs on held.n = as_ofs.n

),

ranked as (

    select
        *,
        row_number() over (partition by as_of, level order by gross_revenue desc, key asc) as revenue_rank,
        gross_revenue / sum(gross_revenue) over (partition by as_of, level) as revenue_share
    from recent

),

final as (

    select
        as_of,
        level,
        key,
        cast(gross_revenue as decimal(18, 4)) as gross_revenue,
        cast(revenue_share as double) as revenue_share,
        revenue_rank
    from ranked
    where revenue_rank <= most and (keys_of_level > 1 or level = 'product')

)

select * from final
