{# The ids that core.customer_identities joins at as_of, to be joined to facts: the person of a customer is
   coalesce(persons.person_id, facts.customer_id). #}
{% macro persons_at_as_of() -%}
(
    select
        customer_id,
        person_id
    from {{ ref('customer_identities') }}
    where as_of = cast('{{ var("as_of") }}' as timestamp)
)
{%- endmacro %}
