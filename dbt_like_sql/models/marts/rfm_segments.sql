{{ config(event_time='as_of') }}

-- A view, so that the result does not depend on the order in which snapshots are built.

with scores as (

    select * from {{ ref('rfm_scores') }}

),

snapshots as (

    select
        as_of,
        lag(as_of) over (order by as_of) as previous_as_of
    from (select distinct scores.as_of from scores) as stored

),

final as (

    select
        scores.*,
        previous.segment as previous_segment
    from scores
    inner join snapshots on scores.as_of = snapshots.as_of
    left join scores as previous
        on snapshots.previous_as_of = previous.as_of and scores.customer_id = previous.customer_id

)

select * from final
