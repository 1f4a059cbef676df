{{ config(
    materialized='incremental',
    incremental_strategy='microbatch',
    event_time='sales_date',
    batch_size='day',
    begin=var('start_date'),
) }}

-- Daily sales by country, channel and category, including guests. The parts of each level add up to the units and
-- gross revenue of core.totals_daily. An order belongs to a single channel, as in core.channel_daily. The category
-- is the one in the products table at the time of the build.

with categories as (

    select
        product_id,
        category
    from {{ ref('stg_catalogue') }}
    where category is not null

),

lines as (

    select
        lines.event_date as sales_date,
        lines.purchase_order_id,
        lines.customer_id,
        lines.units,
        lines.gross_revenue,
        coalesce(lines.country, 'unknown') as country,
        coalesce(
            min(lines.channel) over (partition by lines.event_date, lines.purchase_order_id), 'unknown'
        ) as channel,
        coalesce(categories.category, 'unknown') as category
    from {{ ref('stg_order_lines') }} as lines
    left join categories on lines.product_id = categories.product_id
    where lines.line_type = 'purchase'

),

levels as (

    select unnest(['country', 'channel', 'category']) as level

),

levelled as (

    select
        lines.*,
        levels.level,
        case levels.level
            when 'country' then lines.country
            when 'channel' then lines.channel
            when 'category' then lines.category
        end as key
    from lines
    cross join levels

),

final as (

    select
        ---------- ids
        sales_date,
        level,
        key,
        ---------- counts
        count(distinct purchase_order_id) as orders,
        count(distinct customer_id) as buyers,
        cast(sum(units) as bigint) as units,
        ---------- money
        cast(sum(gross_revenue) as decimal(18, 4)) as gross_revenue
    from levelled
    group by sales_date, level, key

)

select * from final
