{% set kinds = {
    'stage': ['stage_states', 'stage', 'net_revenue'],
    'rfm_segment': ['rfm_states', 'segment', 'monetary'],
} %}
-- Transitions from the previous stored snapshot to each snapshot, for lifecycle stages and for RFM segments.
-- A customer who is in only one of the two comes from 'absent' or goes to it, so that each side adds up to all
-- customers of its snapshot. A view, so that the result does not depend on the order in which snapshots are built.

with
{% for kind, (model, state, money) in kinds.items() %}
    {{ kind }}_snapshots as (

        select
            as_of as previous_as_of,
            lead(as_of) over (order by as_of) as as_of
        from (select distinct states.as_of from {{ ref(model) }} as states) as stored

    ),

    -- Each customer's state, assigned to the next snapshot.
    {{ kind }}_before as (

        select
            snapshots.as_of,
            states.customer_id,
            states.{{ state }} as state,
            states.{{ money }} as worth
        from {{ ref(model) }} as states
        inner join {{ kind }}_snapshots as snapshots on states.as_of = snapshots.previous_as_of
        where snapshots.as_of is not null

    ),

    {{ kind }}_pairs as (

        select
            coalesce(states.as_of, before.as_of) as as_of,
            '{{ kind }}' as state_kind,
            coalesce(before.state, 'absent') as from_state,
            coalesce(states.{{ state }}, 'absent') as to_state,
            count(*) as customers,
            sum(before.worth) as previous_net_revenue,
            sum(states.{{ money }}) as net_revenue
        from {{ ref(model) }} as states
        full outer join {{ kind }}_before as before
            on states.as_of = before.as_of and states.customer_id = before.customer_id
        group by 1, 3, 4

    ),

    {{ kind }}_transitions as (

        select
            pairs.as_of,
            snapshots.previous_as_of,
            pairs.state_kind,
            pairs.from_state,
            pairs.to_state,
            ---------- counts and net revenue
            pairs.customers,
            cast(coalesce(pairs.previous_net_revenue, 0) as decimal(18, 4)) as previous_net_revenue,
            cast(coalesce(pairs.net_revenue, 0) as decimal(18, 4)) as net_revenue
        from {{ kind }}_pairs as pairs
        -- The first snapshot has no previous snapshot.
        inner join {{ kind }}_snapshots as snapshots on pairs.as_of = snapshots.as_of

    ),

{% endfor %}
final as (

    {% for kind in kinds %}
        select * from {{ kind }}_transitions
        {{ 'union all' if not loop.last else '' }}
    {% endfor %}

)

select * from final
