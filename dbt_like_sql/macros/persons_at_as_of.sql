{# The ids that core.customer_identities joins at each as_of, to be joined to facts: the person of a customer is
   coalesce(persons.person_id, facts.customer_id). #}
{% macro persons_at_as_of() -%}
(
    select
        as_of,
        customer_id,
        person_id
    from {{ ref('customer_identities') }}
    where {{ is_at_as_of('as_of') }}
)
{%- endmacro %}
