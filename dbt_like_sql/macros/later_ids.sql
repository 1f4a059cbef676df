{# The other ids under which the persons of each as_of are seen within a horizon: those that belonged to them at as_of,
   and those first seen after it that the last stored snapshot within the horizon joins with them. An id that was
   another person at as_of stays that person's, so that no order counts twice. #}
{% macro later_ids(horizon_days) -%}
(
    select
        as_of,
        person_id,
        customer_id
    from {{ ref('customer_identities') }}
    where customer_id <> person_id
    union all
    select
        horizons.as_of,
        coalesce(earlier.person_id, later.person_id) as person_id,
        later.customer_id
    from (
        select
            starts.as_of,
            max(ends.as_of) as last_as_of
        from (select distinct as_of from {{ ref('customer_features') }}) as starts
        inner join (select distinct as_of from {{ ref('customer_features') }}) as ends
            on starts.as_of < ends.as_of and cast(starts.as_of as date) + {{ horizon_days }} >= cast(ends.as_of as date)
        group by starts.as_of
    ) as horizons
    inner join {{ ref('customer_identities') }} as later on horizons.last_as_of = later.as_of
    left join {{ ref('customer_identities') }} as earlier
        on horizons.as_of = earlier.as_of and later.person_id = earlier.customer_id
    where later.first_seen_date >= cast(horizons.as_of as date)
)
{%- endmacro %}
