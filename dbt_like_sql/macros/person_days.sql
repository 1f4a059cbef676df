{# core.customer_daily before as_of with persons as customers: the customer ids that core.customer_identities joins at
   as_of are one. sums: the columns to add up, with their types. #}
{% macro person_days(sums, country=false) -%}
(
    select
        daily.customer_id,
        daily.activity_date,
        {{ 'daily.country,' if country else '' }}
        {% for column in sums %}
            daily.{{ column }}{{ ',' if not loop.last else '' }}
        {% endfor %}
    from {{ ref('customer_daily') }} as daily
    where
        daily.activity_date < cast('{{ var("as_of") }}' as date)
        and not exists (
            select 1 from {{ ref('customer_identities') }} as identities
            where
                identities.as_of = cast('{{ var("as_of") }}' as timestamp)
                and daily.customer_id = identities.customer_id
        )
    union all
    select
        identities.person_id as customer_id,
        daily.activity_date,
        {{ 'max(daily.country) as country,' if country else '' }}
        {% for column, type in sums.items() %}
            cast(sum(daily.{{ column }}) as {{ type }}) as {{ column }}{{ ',' if not loop.last else '' }}
        {% endfor %}
    from {{ ref('customer_identities') }} as identities
    inner join {{ ref('customer_daily') }} as daily on identities.customer_id = daily.customer_id
    where
        identities.as_of = cast('{{ var("as_of") }}' as timestamp)
        and daily.activity_date < cast('{{ var("as_of") }}' as date)
    group by identities.person_id, daily.activity_date
)
{%- endmacro %}
