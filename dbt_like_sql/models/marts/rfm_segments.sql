{{ config(event_time='as_of') }}

-- A view, so that the result does not depend on the order in which snapshots are built.

with states as (

    select * from {{ ref('rfm_states') }}

),

snapshots as (

    select
        as_of,
        lag(as_of) over (order by as_of) as previous_as_of
    from (select distinct states.as_of from states) as stored

),

final as (

    select
        states.as_of,
        states.customer_id,
        states.recency_days,
        states.frequency,
        states.monetary,
        states.r_score,
        states.f_score,
        states.m_score,
        states.segment,
        previous.segment as previous_segment,
        ---------- by both kinds of cut-offs
        states.weekly_segment,
        states.held_segment,
        snapshots.previous_as_of
    from states
    inner join snapshots on states.as_of = snapshots.as_of
    left join states as previous
        on snapshots.previous_as_of = previous.as_of and states.customer_id = previous.customer_id

)

select * from final
