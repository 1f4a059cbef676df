-- noqa: disable=LT02
{{ config(event_time='as_of') }}
{% set measures = {
    'recency': ['r_score', 'recency_days', 'min'],
    'frequency': ['f_score', 'frequency', 'max'],
    'monetary': ['m_score', 'monetary', 'max'],
} %}
-- The borders of the scores. The held ones are those of the first stored snapshot since the newest date of the training
-- calendar, every train_every_weeks-th Monday since year 1. A snapshot whose longest recency is shorter than two
-- intervals of the calendar holds no borders: in a young shop the recency of all customers still grows. A view, so
-- that the result does not depend on the order in which snapshots are built.
{% set interval_days = 7 * var('train_every_weeks') %}

with scores as (

    select * from {{ ref('rfm_scores') }}

),

snapshots as (

    select
        as_of,
        -- A training at as_of has the key of the Monday a week before.
        cast(as_of as date) - cast(
            (date_diff('day', date '0001-01-01', cast(as_of as date)) - 7) % {{ interval_days }} as integer
        ) as calendar_date,
        max(recency_days) >= {{ 2 * interval_days }} and max(segment) <> 'undetermined' as can_hold
    from scores
    group by as_of

),

held as (

    select
        snapshots.as_of,
        coalesce(min(earlier.as_of), snapshots.as_of) as held_as_of
    from snapshots
    left join snapshots as earlier
        on
            snapshots.as_of >= earlier.as_of
            and snapshots.calendar_date <= earlier.as_of
            and earlier.can_hold
    group by snapshots.as_of

),

wide as (

    select
        as_of,
        {% for measure, (score, value, function) in measures.items() %}
            {% for s in range(2, 6) %}
                {{ function }}(case when {{ score }} < {{ s }} then {{ value }} end) as {{ measure }}_{{ s }}
                {{- ',' if not loop.last else '' }}
            {% endfor %}
            {{- ',' if not loop.last else '' }}
        {% endfor %}
    from scores
    group by as_of

),

borders as (

    {% for measure in measures %}
        {% for s in range(2, 6) %}
            select
                as_of,
                '{{ measure }}' as measure,
                {{ s }} as score,
                cast({{ measure }}_{{ s }} as decimal(18, 4)) as cutoff
            from wide
            {{ 'union all' if not loop.last else '' }}
        {% endfor %}
        {{ 'union all' if not loop.last else '' }}
    {% endfor %}

),

final as (

    select
        borders.as_of,
        borders.measure,
        borders.score,
        borders.cutoff,
        ---------- the cut-offs that hold
        held.held_as_of,
        earlier.cutoff as held_cutoff
    from borders
    inner join held on borders.as_of = held.as_of
    inner join borders as earlier
        on held.held_as_of = earlier.as_of and borders.measure = earlier.measure and borders.score = earlier.score

)

select * from final
