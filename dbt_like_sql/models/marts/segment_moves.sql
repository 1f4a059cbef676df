-- noqa: disable=LT02,LT05
{#
    The causes are switched one at a time from the previous snapshot to this one:
      late       the customer's own orders from before the previous snapshot that it did not include
      time       the days between the two snapshots
      purchases  the customer's own order days between the two snapshots
      cutoffs    the cut-offs of the scores: they moved, and the customer did not cross them
    The result depends on the order of the switches, so all 24 orders are evaluated. In each order, the move
    is attributed to the switch after which the segment remains the new one. A share is the fraction of the
    24 orders, so shares are non-negative and sum to 1. Late orders of other customers are part of `cutoffs`.

    A state is the sum of the numbers of the causes that are switched: state 15 is the new snapshot.
#}
{% set number = {'late': 1, 'time': 2, 'purchases': 4, 'cutoffs': 8} %}
{% set causes = ['late', 'time', 'purchases', 'cutoffs'] %}
-- The causes of each change of segment since the previous stored snapshot. A view, so that the result does not
-- depend on the order in which snapshots are built.

with scores as (

    select
        as_of,
        customer_id,
        recency_days,
        frequency,
        segment
    from {{ ref('rfm_states') }}

),

-- A score is at least s if the recency is below the cut-off of s, or if the frequency is above it.
snapshots as (

    select
        as_of,
        lag(as_of) over (order by as_of) as previous_as_of,
        {% set cutoff = 'held_cutoff' if var('rfm_cutoffs') == 'quarterly' else 'cutoff' %}
        {% for s in range(2, 6) %}
            max(case when measure = 'recency' and score = {{ s }} then {{ cutoff }} end) as r{{ s }},
            max(case when measure = 'frequency' and score = {{ s }} then {{ cutoff }} end) as f{{ s }}
            {{- ',' if not loop.last else '' }}
        {% endfor %}
    from {{ ref('rfm_cutoffs') }}
    group by as_of

),

-- The cells of each segment as bits of an integer.
cells as (

    select
        segment,
        cast(sum(power(2, 5 * (r_score - 1) + f_score - 1)) as bigint) as cell_bits
    from {{ ref('rfm_segment_map') }}
    group by segment

),

order_days as (

    select
        customer_id,
        activity_date,
        lag(activity_date) over (partition by customer_id order by activity_date) as previous_date
    from {{ ref('customer_daily') }}
    where orders > 0

),

-- The customer's order days between two snapshots, and the last one before them in the current data.
bought as (

    select
        snapshots.as_of,
        order_days.customer_id,
        count(order_days.activity_date) as order_days,
        min_by(order_days.previous_date, order_days.activity_date) as last_date_before
    from order_days
    inner join snapshots
        on order_days.activity_date < snapshots.as_of and order_days.activity_date >= snapshots.previous_as_of
    where not exists (
        select 1 from {{ ref('customer_identities') }} as identities
        where snapshots.as_of = identities.as_of and order_days.customer_id = identities.customer_id
    )
    group by snapshots.as_of, order_days.customer_id
    union all
    -- The same for persons with several ids.
    select
        snapshots.as_of,
        identities.person_id as customer_id,
        count(distinct case when order_days.activity_date >= snapshots.previous_as_of then order_days.activity_date end)
            as order_days,
        max(case when order_days.activity_date < snapshots.previous_as_of then order_days.activity_date end)
            as last_date_before
    from snapshots
    inner join {{ ref('customer_identities') }} as identities on snapshots.as_of = identities.as_of
    inner join order_days
        on identities.customer_id = order_days.customer_id and snapshots.as_of > order_days.activity_date
    group by snapshots.as_of, identities.person_id
    having max(order_days.activity_date) >= max(snapshots.previous_as_of)

),

moved as (

    select
        now.as_of,
        snapshots.previous_as_of,
        now.customer_id,
        before.segment as previous_segment,
        now.segment,
        date_diff('day', cast(snapshots.previous_as_of as date), cast(snapshots.as_of as date)) as days_between,
        before.recency_days as recency_before,
        before.frequency as frequency_before,
        now.recency_days as recency_now,
        now.frequency as frequency_now,
        coalesce(bought.order_days, 0) as order_days_between,
        now.frequency - coalesce(bought.order_days, 0) as frequency_known,
        case
            when bought.order_days is null
                then now.recency_days - date_diff('day', cast(snapshots.previous_as_of as date), cast(snapshots.as_of as date))
            else
                coalesce(
                    date_diff('day', bought.last_date_before, cast(snapshots.previous_as_of as date)),
                    before.recency_days
                )
        end as recency_known,
        {% for s in range(2, 6) %}
            earlier.r{{ s }} as before_r{{ s }},
            earlier.f{{ s }} as before_f{{ s }},
            snapshots.r{{ s }} as now_r{{ s }},
            snapshots.f{{ s }} as now_f{{ s }},
        {% endfor %}
        cells.cell_bits
    from scores as now
    inner join snapshots on now.as_of = snapshots.as_of
    inner join snapshots as earlier on snapshots.previous_as_of = earlier.as_of
    inner join scores as before
        on snapshots.previous_as_of = before.as_of and now.customer_id = before.customer_id
    left join bought on now.as_of = bought.as_of and now.customer_id = bought.customer_id
    inner join cells on now.segment = cells.segment
    -- A snapshot in which all customers tie has no segments, so nobody moves from or to them.
    where now.segment <> before.segment and before.segment <> 'undetermined'

),

-- Whether the segment is the new one in each of the 16 states. A customer with purchases but without time passed
-- has a recency of zero.
states as (

    select
        as_of,
        previous_as_of,
        customer_id,
        previous_segment,
        segment,
        order_days_between,
        {% for state in range(16) %}
            {% set recency = 'recency_known' if state % 2 else 'recency_before' %}
            {% set frequency = 'frequency_known' if state % 2 else 'frequency_before' %}
            {% set days = ' + days_between' if state // 2 % 2 else '' %}
            {% if state // 4 % 2 %}
                {% set just = 'recency_now' if state // 2 % 2 else '0' %}
                {% set recency = recency ~ days %}
                {% set recency = 'case when order_days_between > 0 then ' ~ just ~ ' else ' ~ recency ~ ' end' %}
                {% set frequency = '(' ~ frequency ~ ' + order_days_between)' %}
            {% else %}
                {% set recency = '(' ~ recency ~ days ~ ')' %}
            {% endif %}
            {% set cutoffs = 'now' if state // 8 else 'before' %}
            (cell_bits >> ({{ rfm_cell(recency, frequency, cutoffs) }})) & 1 as is_new_{{ state }}{{ ',' if not loop.last else '' }}
        {% endfor %}
    from moved

),

shares as (

    select
        as_of,
        previous_as_of,
        customer_id,
        previous_segment,
        segment,
        order_days_between,
        {% for cause in causes %}
            {% set i = number[cause] %}
            {% set others = [1, 2, 4, 8] | reject('equalto', i) | list %}
            (
                -- switched last, third, second, first
                6 * (1 - is_new_{{ 15 - i }})
                {% for last in others %}
                    + 2 * is_new_{{ 15 - last }} * (1 - is_new_{{ 15 - last - i }})
                    {% for first in others if first != last %}
                        + is_new_{{ 15 - last }} * is_new_{{ first + i }} * (1 - is_new_{{ first }})
                        + is_new_{{ 15 - last }} * is_new_{{ i + first }} * is_new_{{ i }}
                    {% endfor %}
                {% endfor %}
            ) / cast(24 as double) as {{ cause }}_share{{ ',' if not loop.last else '' }}
        {% endfor %}
    from states

),

final as (

    select
        as_of,
        previous_as_of,
        customer_id,
        previous_segment,
        segment,
        ---------- causes
        case greatest(purchases_share, time_share, cutoffs_share, late_share)
            when purchases_share then 'purchases'
            when time_share then 'time'
            when cutoffs_share then 'cutoffs'
            else 'late'
        end as main_cause,
        purchases_share,
        time_share,
        cutoffs_share,
        late_share,
        order_days_between
    from shares

)

select * from final
