{# The CTEs of core.customer_features that say who its customers are, from accounts to entities. An entity is a customer,
   or a group of customers who are one person at some as_of. With many snapshots entities are numbers, which join faster;
   with one, they are ids, so that nothing has to be numbered and joined. #}
{% macro snapshot_entities() -%}
-- A customer who signs up at or after as_of is not known yet. If the shop has no sign-up time, the first event
-- counts.
accounts as (

    select
        customer_id,
        country,
        signed_up_at
    from {{ ref('stg_customers') }}
    where signed_up_at is null or signed_up_at < {{ last_as_of() }}

),

persons as (

    select * from {{ persons_at_as_of() }} as persons

),

-- The ids of a person at an as_of. The same ids at another as_of are the same group.
compositions as (

    select
        as_of,
        person_id,
        string_agg(customer_id, chr(31) order by customer_id) as member_ids
    from persons
    group by as_of, person_id

),

shared as (

    select
        person_id,
        member_ids,
        min(as_of) as as_of,
        {% if var('as_of') is string %}
            concat(chr(31), person_id) as entity
        {% else %}
            -row_number() over (order by person_id, member_ids) as entity
        {% endif %}
    from compositions
    group by person_id, member_ids

),

members as (

    select
        shared.entity,
        persons.customer_id
    from shared
    inner join persons on shared.as_of = persons.as_of and shared.person_id = persons.person_id

),

customers as (

    select
        customer_id,
        {{ 'customer_id' if var('as_of') is string else 'row_number() over ()' }} as entity
    from (
        select customer_id from {{ ref('customer_daily') }}
        union
        select customer_id from accounts
    ) as ids

),

entity_accounts as (

    select
        customers.entity,
        accounts.customer_id,
        accounts.country,
        accounts.signed_up_at
    from accounts
    inner join customers on accounts.customer_id = customers.customer_id
    union all
    select
        members.entity,
        accounts.customer_id,
        accounts.country,
        accounts.signed_up_at
    from accounts
    inner join members on accounts.customer_id = members.customer_id

),

sign_ups as (

    select
        entity,
        cast(signed_up_at as date) as activity_date,
        signed_up_at,
        country as account_country,
        concat(cast(signed_up_at as varchar), ' ', customer_id) as account_place
    from entity_accounts
    where signed_up_at is not null

),

entities as (

    select
        ids.entity,
        ids.customer_id,
        ids.member_ids,
        undated.country
    from (
        select
            entity,
            customer_id,
            null as member_ids
        from customers
        union all
        select
            entity,
            person_id as customer_id,
            member_ids
        from shared
    ) as ids
    left join (
        select
            entity,
            min_by(country, customer_id) as country
        from entity_accounts
        where signed_up_at is null
        group by entity
    ) as undated on ids.entity = undated.entity

),
{%- endmacro %}
{# The entity of a customer in the rows of a relation, which join_customers joins to the CTE customers if necessary. #}
{% macro entity_of(relation) -%}
{{ relation ~ '.customer_id' if var('as_of') is string else 'customers.entity' }}
{%- endmacro %}
{% macro join_customers(relation) -%}
{% if var('as_of') is not string -%}
inner join customers on {{ relation }}.customer_id = customers.customer_id
{%- endif %}
{%- endmacro %}
