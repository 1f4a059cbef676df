{{ config(event_time='as_of') }}

-- A view, so that the result does not depend on the order in which snapshots are built.

with snapshots as (

    select
        as_of,
        row_number() over (order by as_of) as position,
        lag(as_of) over (order by as_of) as previous_as_of
    from (select distinct states.as_of from {{ ref('stage_states') }} as states) as stored

),

states as (

    select
        states.*,
        snapshots.position,
        snapshots.previous_as_of
    from {{ ref('stage_states') }} as states
    inner join snapshots on states.as_of = snapshots.as_of

),

before as (

    select
        *,
        case
            when lag(position) over (partition by customer_id order by as_of) = position - 1
                then lag(stage) over (partition by customer_id order by as_of)
        end as previous_stage
    from states

),

-- A stay starts where the stage differs from that of the previous snapshot.
stays as (

    select
        *,
        max(case when previous_stage is distinct from stage then as_of end) over (
            partition by customer_id order by as_of
        ) as since
    from before

),

final as (

    select
        stays.as_of,
        stays.customer_id,
        stays.stage,
        stays.previous_stage,
        date_diff('day', cast(stays.since as date), cast(stays.as_of as date)) as days_in_stage,
        case stays.stage
            when 'prospect' then concat('known for ', stays.known_days, ' days, no order yet')
            when 'new' then concat('first order ', stays.recency_days, ' days ago', cutoffs.half)
            when 'growing'
                then concat(
                    stays.order_days, ' days with an order, the last ', stays.recency_days, ' days ago', cutoffs.half
                )
            when 'loyal'
                then concat(
                    'orders over ', stays.run_days, ' days without a gap of more than ', cutoffs.lost_days,
                    '; last order ', stays.recency_days, ' days ago'
                )
            when 'reactivated'
                then concat(
                    'ordered again ', stays.recency_days, ' days ago after a gap of ', stays.away_days,
                    ' days; a customer is lost after ', cutoffs.lost_days
                )
            when 'at_risk'
                then concat('last order ', stays.recency_days, ' days ago', cutoffs.half, cutoffs.active)
            else concat('last order ', stays.recency_days, ' days ago', cutoffs.half, cutoffs.lost)
        end as reason,
        ---------- basis of the stage
        stays.order_days,
        stays.recency_days,
        stays.net_revenue,
        stays.previous_as_of
    from stays
    left join (
        select
            as_of,
            lost_days,
            case
                when half_days is null then ''
                else concat('; half of such customers come back within ', half_days)
            end as half,
            case
                when basis = 'own gaps'
                    then concat(', ', cast(round(100 * active_quantile) as integer), '% within ', active_days)
                else concat('; the shop is too young for its own cut-off, at risk after ', active_days)
            end as active,
            case
                when basis = 'own gaps'
                    then concat(', ', cast(round(100 * lost_quantile) as integer), '% within ', lost_days)
                else concat('; the shop is too young for its own cut-off, lost after ', lost_days)
            end as lost
        from {{ ref('lifecycle_cutoffs') }}
    ) as cutoffs on stays.as_of = cutoffs.as_of

)

select * from final
