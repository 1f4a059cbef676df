{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- Kaplan-Meier estimate (1958) of the gaps between two order days of a customer. The last gap of each customer is
-- open and is censored after the last complete day, the one before as_of. At equal length, a return precedes a
-- censoring. Products are computed as sums of logarithms, since ANSI SQL has no product aggregate;
-- as decimals, whose sum is independent of row order.

with gaps as (

    select
        as_of,
        date_diff('day', activity_date, coalesce(next_date, cast(as_of as date) - 1)) as gap_days,
        count(next_date) as returns,
        count(*) - count(next_date) as censored
    from {{ persons_order_days() }} as persons_order_days
    group by as_of, gap_days

),

at_risk as (

    select
        *,
        cast(sum(returns + censored) over (partition by as_of order by gap_days desc) as bigint) as at_risk
    from gaps

),

final as (

    select
        as_of,
        gap_days,
        at_risk,
        returns,
        censored,
        -- If every gap at risk ends at this length, survival is zero.
        case
            when min(at_risk - returns) over (partition by as_of order by gap_days) = 0 then 0
            else exp(
                cast(
                    sum(cast(ln(greatest(at_risk - returns, 0.5) / at_risk) as decimal(38, 18)))
                        over (partition by as_of order by gap_days)
                    as double
                )
            )
        end as survival
    from at_risk

)

select * from final
