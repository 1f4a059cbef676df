{{ config(event_time='as_of') }}

-- How many customers change their segment from one stored snapshot to the next, by weekly and by held cut-offs. A view,
-- so that the result does not depend on the order in which snapshots are built.

with states as (

    select * from {{ ref('rfm_states') }}

),

snapshots as (

    select
        as_of,
        lag(as_of) over (order by as_of) as previous_as_of
    from (select distinct states.as_of from states) as stored

),

moves as (

    select
        states.as_of,
        snapshots.previous_as_of,
        states.held_as_of,
        states.held_as_of <> previous.held_as_of as is_new_held,
        states.weekly_segment <> previous.weekly_segment as is_weekly_move,
        states.held_segment <> previous.held_segment as is_held_move
    from states
    inner join snapshots on states.as_of = snapshots.as_of
    inner join states as previous
        on snapshots.previous_as_of = previous.as_of and states.customer_id = previous.customer_id
    -- A snapshot in which all customers tie has no segments.
    where states.weekly_segment <> 'undetermined' and previous.weekly_segment <> 'undetermined'

),

final as (

    select
        as_of,
        previous_as_of,
        count(*) as customers,
        ---------- by weekly cut-offs
        count(*) filter (where is_weekly_move) as weekly_moves,
        count(*) filter (where is_weekly_move) / cast(count(*) as double) as weekly_turnover,
        ---------- by held cut-offs
        count(*) filter (where is_held_move) as held_moves,
        count(*) filter (where is_held_move) / cast(count(*) as double) as held_turnover,
        held_as_of,
        is_new_held
    from moves
    group by as_of, previous_as_of, held_as_of, is_new_held

)

select * from final
