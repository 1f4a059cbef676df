{{ config(event_time='as_of') }}

-- Many customers never come back, so q is a share of those who come back within a year: with F = 1 - survival, the
-- cut-off is the smallest t with F(t) >= q x F(365). A shop of less than a year has no F(365). It is at least
-- F(longest gap) and at most 1, so the curve is used once F has reached lost_quantile, beyond two standard errors:
-- then both ends are on it. Before, and with fewer than 100 returns, the days are fixed, between the cut-offs
-- estimated for two real shops (97 and 228, 121 and 262). The intervals are those of Brookmeyer and Crowley (1982):
-- all t at which F(t) differs from q x F(365) by less than 1.96 standard errors by Greenwood (1926). F(365) is taken
-- as known, and gaps of one customer as independent.

with curve as (

    select
        *,
        1 - survival as returned,
        -- A length at which every gap at risk ends has no error: survival is zero from there on.
        coalesce(
            1.96 * survival * sqrt(
                sum(returns / nullif(cast(at_risk as double) * (at_risk - returns), 0))
                    over (partition by as_of order by gap_days)
            ), 0
        ) as error
    from {{ ref('repurchase_survival') }}

),

years as (

    select
        as_of,
        max(gap_days) as longest_gap_days,
        cast(sum(returns) as bigint) as returns,
        max(case when gap_days <= 365 then returned end) as returned_in_year,
        -- A shop of exactly a year has no gap of 365 days: few customers order on its first day, and never again.
        sum(returns) >= 100 and (
            max(gap_days) >= 358
            or max(case when gap_days <= 365 then returned - error end) >= {{ var('lost_quantile') }}
        ) as is_known
    from curve
    group by as_of

),

days as (

    select
        curve.as_of,
        {% for name in ['active', 'lost'] %}
            {% for sign, suffix in [('', 'days'), ('+ curve.error', 'days_low'), ('- curve.error', 'days_high')] %}
                min(
                    case
                        when curve.returned {{ sign }} >= {{ var(name ~ '_quantile') }} * years.returned_in_year
                            then curve.gap_days
                    end
                ) as {{ name }}_{{ suffix }},
            {% endfor %}
        {% endfor %}
        min(case when curve.returned >= 0.5 * years.returned_in_year then curve.gap_days end) as half_days
    from curve
    inner join years on curve.as_of = years.as_of
    group by curve.as_of

),

final as (

    select
        years.as_of,
        case when years.is_known then 'own gaps' else 'too young' end as basis,
        ---------- days
        case when years.is_known then days.half_days end as half_days,
        case when years.is_known then days.active_days else 100 end as active_days,
        case when years.is_known then days.lost_days else 240 end as lost_days,
        ---------- 95% intervals
        case when years.is_known then days.active_days_low end as active_days_low,
        case when years.is_known then days.active_days_high end as active_days_high,
        case when years.is_known then days.lost_days_low end as lost_days_low,
        case when years.is_known then days.lost_days_high end as lost_days_high,
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
