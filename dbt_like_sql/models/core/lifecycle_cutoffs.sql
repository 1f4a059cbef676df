{{ config(event_time='as_of') }}

-- Many customers never come back, so q is a share of those who come back within a year: with F = 1 - survival, the
-- cut-off is the smallest t with F(t) >= q x F(365). If the longest gap is shorter than a year or there are few
-- returns, F(365) cannot be estimated. The fixed days used instead are between the cut-offs estimated for two real
-- shops (97 and 228, 121 and 262).

with curve as (

    select
        *,
        1 - survival as returned
    from {{ ref('repurchase_survival') }}

),

years as (

    select
        as_of,
        max(gap_days) as longest_gap_days,
        cast(sum(returns) as bigint) as returns,
        max(case when gap_days <= 365 then returned end) as returned_in_year,
        max(gap_days) >= 365 and sum(returns) >= 100 as is_old_enough
    from curve
    group by as_of

),

days as (

    select
        curve.as_of,
        min(case when curve.returned >= 0.5 * years.returned_in_year then curve.gap_days end) as half_days,
        min(
            case when curve.returned >= {{ var('active_quantile') }} * years.returned_in_year then curve.gap_days end
        ) as active_days,
        min(
            case when curve.returned >= {{ var('lost_quantile') }} * years.returned_in_year then curve.gap_days end
        ) as lost_days
    from curve
    inner join years on curve.as_of = years.as_of
    group by curve.as_of

),

final as (

    select
        years.as_of,
        case when years.is_old_enough then 'own gaps' else 'too young' end as basis,
        ---------- days
        case when years.is_old_enough then days.half_days end as half_days,
        case when years.is_old_enough then days.active_days else 100 end as active_days,
        case when years.is_old_enough then days.lost_days else 240 end as lost_days,
        ---------- basis of the cut-offs
        cast({{ var('active_quantile') }} as double) as active_quantile,
        cast({{ var('lost_quantile') }} as double) as lost_quantile,
        years.returned_in_year,
        years.returns,
        years.longest_gap_days
    from years
    inner join days on years.as_of = days.as_of

)

select * from final
