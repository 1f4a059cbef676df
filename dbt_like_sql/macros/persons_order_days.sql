{# The order days before each as_of, with persons as customers: the customer ids that core.customer_identities joins at
   as_of are one. previous_date and next_date are the neighbours before as_of. Customers who are not part of a person
   have the same neighbours at each as_of, so these are found once. #}
{% macro persons_order_days() -%}
(
    select
        as_ofs.as_of,
        days.customer_id,
        days.activity_date,
        days.previous_date,
        case when days.next_date < cast(as_ofs.as_of as date) then days.next_date end as next_date
    from (
        select
            customer_id,
            activity_date,
            lag(activity_date) over (partition by customer_id order by activity_date) as previous_date,
            lead(activity_date) over (partition by customer_id order by activity_date) as next_date
        from {{ ref('customer_daily') }}
        where orders > 0 and activity_date < cast({{ last_as_of() }} as date)
    ) as days
    inner join {{ as_ofs() }} as as_ofs on days.activity_date < cast(as_ofs.as_of as date)
    where not exists (
        select 1 from {{ persons_at_as_of() }} as persons
        where as_ofs.as_of = persons.as_of and days.customer_id = persons.customer_id
    )
    union all
    select
        as_of,
        customer_id,
        activity_date,
        lag(activity_date) over (partition by as_of, customer_id order by activity_date) as previous_date,
        lead(activity_date) over (partition by as_of, customer_id order by activity_date) as next_date
    from (
        select distinct
            persons.as_of,
            persons.person_id as customer_id,
            daily.activity_date
        from {{ persons_at_as_of() }} as persons
        inner join {{ ref('customer_daily') }} as daily on persons.customer_id = daily.customer_id
        where daily.orders > 0 and daily.activity_date < cast(persons.as_of as date)
    ) as days
)
{%- endmacro %}
