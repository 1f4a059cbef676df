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
    where {{ is_at_as_of('as_of') }} and order_days > 0

),

scored as (

    select
        *,
        cast(1 + (5 * (recency_rank - 1)) // customers as integer) as r_score,
        cast(1 + (5 * (frequency_rank - 1)) // customers as integer) as f_score,
        cast(1 + (5 * (monetary_rank - 1)) // customers as integer) as m_score
    from (
        select
            *,
            rank() over (partition by as_of order by recency_days desc) as recency_rank,
            rank() over (partition by as_of order by frequency) as frequency_rank,
            rank() over (partition by as_of order by monetary) as monetary_rank,
            count(*) over (partition by as_of) as customers
        from customers
    ) as ranked

),

-- A snapshot that cannot tell its customers apart, for example after a single day of data, has no segments.
snapshot as (

    select
        as_of,
        max(recency_days) = min(recency_days) and max(frequency) = min(frequency) as all_customers_tie
    from customers
    group by as_of

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
    inner join snapshot on scored.as_of = snapshot.as_of
    left join {{ ref('rfm_segment_map') }} as cells
        on scored.r_score = cells.r_score and scored.f_score = cells.f_score

)

select * from final
