{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- Exact and independent of row order: rank() - 1 is the number of customers that are strictly worse, and tied
-- customers get the same score. Integer arithmetic only.

with customers as (

    select
        as_of,
        customer_id,
        recency_days,
        order_days as frequency,
        net_revenue as monetary
    from {{ ref('customer_features') }}
    where as_of = cast('{{ var("as_of") }}' as timestamp) and order_days > 0

),

scored as (

    select
        *,
        cast(1 + (5 * (rank() over (order by recency_days desc) - 1)) // count(*) over () as integer)
            as r_score,
        cast(1 + (5 * (rank() over (order by frequency) - 1)) // count(*) over () as integer) as f_score,
        cast(1 + (5 * (rank() over (order by monetary) - 1)) // count(*) over () as integer) as m_score
    from customers

),

-- A snapshot that cannot tell its customers apart, for example after a single day of data, has no segments.
snapshot as (

    select max(recency_days) = min(recency_days) and max(frequency) = min(frequency) as all_customers_tie
    from customers

),

final as (

    select
        scored.as_of,
        scored.customer_id,
        scored.recency_days,
        scored.frequency,
        scored.monetary,
        scored.r_score,
        scored.f_score,
        scored.m_score,
        case when snapshot.all_customers_tie then 'undetermined' else cells.segment end as segment
    from scored
    cross join snapshot
    left join {{ ref('rfm_segment_map') }} as cells
        on scored.r_score = cells.r_score and scored.f_score = cells.f_score

)

select * from final
