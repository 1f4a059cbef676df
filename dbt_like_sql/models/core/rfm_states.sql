-- noqa: disable=LT02
{{ config(event_time='as_of') }}

-- Exact weekly scores beside the scores by the held cut-offs. The setting CLM_RFM_CUTOFFS decides which of them is the
-- customer's segment. A view, so that the result does not depend on the order in which snapshots are built.

with scores as (

    select * from {{ ref('rfm_scores') }}

),

cutoffs as (

    select
        as_of,
        max(held_as_of) as held_as_of,
        {% for measure in ['recency', 'frequency', 'monetary'] %}
            {% for s in range(2, 6) %}
                max(case when measure = '{{ measure }}' and score = {{ s }} then held_cutoff end)
                    as held_{{ measure[0] }}{{ s }}{{ ',' if not loop.last else '' }}
            {% endfor %}
            {{ ',' if not loop.last else '' }}
        {% endfor %}
    from {{ ref('rfm_cutoffs') }}
    group by as_of

),

held as (

    select
        scores.as_of,
        scores.customer_id,
        scores.recency_days,
        scores.frequency,
        scores.monetary,
        scores.r_score,
        scores.f_score,
        scores.m_score,
        scores.segment,
        cutoffs.held_as_of,
        {% for measure, sign, value in [
            ('r', '<', 'recency_days'), ('f', '>', 'frequency'), ('m', '>', 'monetary')
        ] %}
            1
            {% for s in range(2, 6) %}
                + case when scores.{{ value }} {{ sign }} cutoffs.held_{{ measure }}{{ s }} then 1 else 0 end
            {% endfor %}
            as held_{{ measure }}_score{{ ',' if not loop.last else '' }}
        {% endfor %}
    from scores
    inner join cutoffs on scores.as_of = cutoffs.as_of

),

named as (

    select
        held.*,
        case when held.held_as_of = held.as_of then held.segment else cells.segment end as held_segment
    from held
    left join {{ ref('rfm_segment_map') }} as cells
        on held.held_r_score = cells.r_score and held.held_f_score = cells.f_score

),

final as (

    select
        as_of,
        customer_id,
        recency_days,
        frequency,
        monetary,
        ---------- by the setting CLM_RFM_CUTOFFS
        {% for column in ['r_score', 'f_score', 'm_score', 'segment'] %}
            {{ 'held_' ~ column ~ ' as ' if var('rfm_cutoffs') == 'quarterly' else '' }}{{ column }},
        {% endfor %}
        ---------- by both kinds of cut-offs
        segment as weekly_segment,
        held_r_score,
        held_f_score,
        held_m_score,
        held_segment,
        held_as_of
    from named

)

select * from final
