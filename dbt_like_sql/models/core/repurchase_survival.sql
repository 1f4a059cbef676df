{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- Kaplan-Meier estimate (1958) of the gaps between two order days of a customer. The last gap of each customer is
-- open and is censored after the last complete day, the one before as_of. At equal length, a return precedes a
-- censoring. Products are computed as sums of logarithms, since ANSI SQL has no product aggregate.

with order_days as (

    select
        customer_id,
        activity_date,
        lead(activity_date) over (partition by customer_id order by activity_date) as next_date
    from {{ person_days({'orders': 'bigint'}) }} as person_days
    where orders > 0

),

gaps as (

    select
        date_diff('day', activity_date, coalesce(next_date, cast('{{ var("as_of") }}' as date) - 1)) as gap_days,
        count(next_date) as returns,
        count(*) - count(next_date) as censored
    from order_days
    group by gap_days

),

at_risk as (

    select
        *,
        cast(sum(returns + censored) over (order by gap_days desc) as bigint) as at_risk
    from gaps

),

final as (

    select
        cast('{{ var("as_of") }}' as timestamp) as as_of,
        gap_days,
        at_risk,
        returns,
        censored,
        -- If every gap at risk ends at this length, survival is zero.
        case
            when min(at_risk - returns) over (order by gap_days) = 0 then 0
            else exp(sum(ln(greatest(at_risk - returns, 0.5) / at_risk)) over (order by gap_days))
        end as survival
    from at_risk

)

select * from final
