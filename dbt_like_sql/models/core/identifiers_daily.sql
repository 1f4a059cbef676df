{{ config(
    materialized='incremental',
    incremental_strategy='microbatch',
    event_time='activity_date',
    batch_size='day',
    begin=var('start_date'),
) }}

-- The ids that events of a customer carry, by day. No rows if the source has no such ids. One branch for each kind, so
-- that a column without values is skipped by its statistics.

{% set kinds = ['email_hash', 'phone_hash', 'device_id'] %}
with
{% for kind in kinds %}
    {{ kind }}_seen as (

        select
            event_date as activity_date,
            customer_id,
            '{{ kind }}' as kind,
            {{ kind }} as other_id,
            min(event_at) as first_seen_at
        from {{ ref('stg_events') }}
        where customer_id is not null and {{ kind }} is not null
        group by event_date, customer_id, {{ kind }}

    ),

{% endfor %}
final as (

    {% for kind in kinds %}
        select * from {{ kind }}_seen
        {{ 'union all' if not loop.last else '' }}
    {% endfor %}

)

select * from final
