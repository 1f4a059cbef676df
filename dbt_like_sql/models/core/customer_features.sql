{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- Features of every customer from data strictly before as_of. A known customer without an order has zero orders
-- and no recency. Customers who are one person at as_of (core.customer_identities) are one customer, under the
-- person's id.

-- All snapshots are built at once. An entity is a customer, or a group of customers who are one person at some as_of.
-- Its state after each snapshot with news is a cumulative sum, and holds until the next one. The sum of the last 30
-- days is the state less that of the days that are older than 30 days at as_of.

{% set sums = {
    'orders': 'bigint',
    'evening_orders': 'bigint',
    'units': 'decimal(18, 4)',
    'gross_revenue': 'decimal(18, 4)',
    'discounts': 'decimal(18, 4)',
    'returned_revenue': 'decimal(18, 4)',
    'refunds': 'decimal(18, 4)',
    'net_revenue': 'decimal(18, 4)',
    'visits': 'bigint',
    'views': 'bigint',
    'carts': 'bigint',
} %}
{% set ages = [30, 90, 180, 275, 365] %}
{% set older = [
    ('orders', 30), ('orders', 90), ('orders', 180), ('orders', 275), ('orders', 365),
    ('net_revenue', 30), ('net_revenue', 90), ('net_revenue', 180), ('net_revenue', 365), ('visits', 30),
] %}
{% set is_one = var('as_of') is string %}
{% set purchases %}
line_type = 'purchase' and product_id is not null and event_at < {{ last_as_of() }}
{%- endset %}
with as_ofs as (

    select * from {{ as_ofs() }} as instants

),

ends as (

    select count(*) + 1 as end_n from as_ofs

),

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
        -row_number() over (order by person_id, member_ids) as entity
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
        row_number() over () as entity
    from (
        select customer_id from {{ ref('customer_daily') }}
        union
        select customer_id from accounts
    ) as ids

),

days as (

    select
        customers.entity,
        daily.activity_date,
        daily.country,
    {% for column in sums %}
        daily.{{ column }}{{ ',' if not loop.last else '' }}
    {% endfor %}
    from {{ ref('customer_daily') }} as daily
    inner join customers on daily.customer_id = customers.customer_id
    where daily.activity_date < cast({{ last_as_of() }} as date)
    union all
    select
        members.entity,
        daily.activity_date,
        max(daily.country) as country,
    {% for column, type in sums.items() %}
        cast(sum(daily.{{ column }}) as {{ type }}) as {{ column }}{{ ',' if not loop.last else '' }}
    {% endfor %}
    from members
    inner join {{ ref('customer_daily') }} as daily on members.customer_id = daily.customer_id
    where daily.activity_date < cast({{ last_as_of() }} as date)
    group by members.entity, daily.activity_date

),

-- The days on which a customer bought a product for the first time.
new_products as (

    select
        customers.entity,
        counted.activity_date,
        counted.products
    from (
        select
            customer_id,
            activity_date,
            count(product_id) as products
        from (
            select
                customer_id,
                product_id,
                min(cast(event_at as date)) as activity_date
            from {{ ref('stg_order_lines') }}
            where {{ purchases }} and customer_id is not null
            group by customer_id, product_id
        ) as firsts
        group by customer_id, activity_date
    ) as counted
    inner join customers on counted.customer_id = customers.customer_id
    union all
    select
        entity,
        activity_date,
        count(product_id) as products
    from (
        select
            members.entity,
            lines.product_id,
            min(cast(lines.event_at as date)) as activity_date
        from members
        inner join {{ ref('stg_order_lines') }} as lines on members.customer_id = lines.customer_id
        where {{ purchases }}
        group by members.entity, lines.product_id
    ) as firsts
    group by entity, activity_date

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

-- What each day adds to the state of an entity.
news as (

    select
        days.entity,
        days.activity_date,
        days.activity_date as seen_date,
        days.country,
        case when days.orders > 0 then days.activity_date end as order_date,
        case when days.orders > 0 then lag(days.activity_date) over order_days end as previous_date,
        case
            when days.orders > 0
                then
                    date_diff('day', lag(days.activity_date) over order_days, days.activity_date)
        end as gap,
        {% for column in sums %}
            days.{{ column }},
        {% endfor %}
        new_products.products,
        null as signed_up_at,
        null as account_country,
        null as account_place
    from days
    left join new_products
        on days.entity = new_products.entity and days.activity_date = new_products.activity_date
    window order_days as (partition by days.entity, days.orders > 0 order by days.activity_date)
    union all
    select
        entity,
        cast(signed_up_at as date) as activity_date,
        null as seen_date,
        null as country,
        null as order_date,
        null as previous_date,
        null as gap,
        {% for column in sums %}
            null as {{ column }},
        {% endfor %}
        null as products,
        signed_up_at,
        country as account_country,
        concat(cast(signed_up_at as varchar), ' ', customer_id) as account_place
    from entity_accounts
    where signed_up_at is not null

),

-- The number of the first snapshot after each date, and of the first at which the date is older than so many days.
numbers as (

    select
        dates.activity_date,
        {% for age in ages %}
            count(case when as_ofs.as_of_date <= dates.activity_date + {{ age }} then 1 end) + 1 as n_{{ age }},
        {% endfor %}
        count(case when as_ofs.as_of_date <= dates.activity_date then 1 end) + 1 as n
    from (select distinct activity_date from news) as dates
    cross join as_ofs
    group by dates.activity_date

),

steps as (

    select
        news.entity,
        numbers.n,
        min(news.seen_date) as first_seen_date,
        max(news.seen_date) as last_seen_date,
        max_by(news.country, news.activity_date) as country,
        min(news.order_date) as first_order_date,
        max(news.order_date) as last_order_date,
        max(news.previous_date) as previous_order_date,
        count(news.order_date) as order_days,
        sum(news.gap * news.gap) as squared_gap_days,
        {% for column in sums %}
            sum(news.{{ column }}) as {{ column }},
        {% endfor %}
        sum(case when {{ day_of_week('news.activity_date') }} >= 6 then news.orders else 0 end) as weekend_orders,
        sum(news.products) as products,
        {% for column, age in older if is_one %}
            sum(case when numbers.n_{{ age }} = 1 then news.{{ column }} else 0 end) as {{ column }}_{{ age }},
        {% endfor %}
        min(news.signed_up_at) as signed_up_at,
        min_by(news.account_country, news.account_place) as account_country
    from news
    inner join numbers on news.activity_date = numbers.activity_date
    group by news.entity, numbers.n

),

states as (

    select
        row_number() over () as state,
        entity,
        n,
        {{ next_number('n', 'ends.end_n') }} as end_n,
        {{ running('min', 'first_seen_date') }} as first_seen_date,
        {{ running('max', 'last_seen_date') }} as last_seen_date,
        {{ running('last_value', 'country') }} as country,
        {{ running('min', 'first_order_date') }} as first_order_date,
        {{ running('max', 'last_order_date') }} as last_order_date,
        {{ running('max', 'previous_order_date') }} as previous_order_date,
        cast({{ running('sum', 'order_days') }} as bigint) as order_days,
        {{ running('sum', 'squared_gap_days') }} as squared_gap_days,
        {% for column, type in sums.items() %}
            cast({{ running('sum', column) }} as {{ type }}) as {{ column }},
        {% endfor %}
        cast({{ running('sum', 'weekend_orders') }} as bigint) as weekend_orders,
        cast(coalesce({{ running('sum', 'products') }}, 0) as bigint) as products,
        {% for column, age in older if is_one %}
            cast(coalesce({{ column }}_{{ age }}, 0) as {{ sums[column] }}) as {{ column }}_{{ age }},
        {% endfor %}
        {{ running('min', 'signed_up_at') }} as signed_up_at,
        {{ running('first_value', 'account_country') }} as account_country
    from steps
    cross join ends
    window so_far as (partition by entity order by n rows between unbounded preceding and current row)

),

{% if is_one %}
    recent as (

        select
            states.state,
            states.entity,
            as_ofs.as_of,
            as_ofs.as_of_date,
        {% for column, age in older %}
            states.{{ column }}_{{ age }}{{ ',' if not loop.last else '' }}
        {% endfor %}
        from states
        inner join as_ofs on states.n = as_ofs.n

    ),

{% else %}
    {% for age in ages %}
        -- The sums of the days that are older than {{ age }} days, at each snapshot.
        older_{{ age }} as (

            select
                entity * 65536 + {{ number_series('n', 'end_n') }} as place,
                orders,
                net_revenue,
                visits
            from (
                select
                    aged.entity,
                    aged.n,
                    {{ next_number('aged.n', 'ends.end_n') }} as end_n,
                    cast({{ running('sum', 'aged.orders') }} as bigint) as orders,
                    cast({{ running('sum', 'aged.net_revenue') }} as decimal(18, 4)) as net_revenue,
                    cast({{ running('sum', 'aged.visits') }} as bigint) as visits
                from (
                    select
                        days.entity,
                        numbers.n_{{ age }} as n,
                        sum(days.orders) as orders,
                        sum(days.net_revenue) as net_revenue,
                        sum(days.visits) as visits
                    from days
                    inner join numbers on days.activity_date = numbers.activity_date
                    group by days.entity, numbers.n_{{ age }}
                ) as aged
                cross join ends
                where aged.n < ends.end_n
                window so_far as (
                    partition by aged.entity order by aged.n rows between unbounded preceding and current row
                )
            ) as totals

        ),

    {% endfor %}
    held as (

        select
            state,
            entity,
            n,
            entity * 65536 + n as place
        from (
            select
                state,
                entity,
                {{ number_series('n', 'end_n') }} as n
            from states
        ) as numbered

    ),

    recent as (

        select
            held.state,
            held.entity,
            as_ofs.as_of,
            as_ofs.as_of_date,
        {% for column, age in older %}
            coalesce(older_{{ age }}.{{ column }}, 0) as {{ column }}_{{ age }}{{ ',' if not loop.last else '' }}
        {% endfor %}
        from held
        inner join as_ofs on held.n = as_ofs.n
        {% for age in ages %}
            left join older_{{ age }} on held.place = older_{{ age }}.place
        {% endfor %}

    ),

{% endif %}
final as (

    select
        recent.as_of,
        entities.customer_id,
        coalesce(states.account_country, entities.country, states.country) as country,
        cast(states.signed_up_at as date) as signed_up_date,
        states.first_seen_date,
        states.last_seen_date,
        ---------- orders
        states.first_order_date,
        states.last_order_date,
        date_diff('day', states.last_order_date, recent.as_of_date) as recency_days,
        date_diff('day', states.first_order_date, recent.as_of_date) as tenure_days,
        date_diff('day', states.previous_order_date, recent.as_of_date) as previous_order_days,
        states.order_days,
        coalesce(states.orders, 0) as orders,
        coalesce(states.orders, 0) - recent.orders_30 as orders_30d,
        coalesce(states.orders, 0) - recent.orders_90 as orders_90d,
        coalesce(states.orders, 0) - recent.orders_180 as orders_180d,
        coalesce(states.orders, 0) - recent.orders_365 as orders_365d,
        recent.orders_275 - recent.orders_365 as orders_year_ago_90d,
        date_diff('day', states.first_order_date, states.last_order_date)
        / nullif(states.order_days - 1, 0) as mean_gap_days,
        -- Computed from sums of integers, which are exact and independent of row order.
        sqrt(
            (
                (states.order_days - 1) * states.squared_gap_days
                - date_diff('day', states.first_order_date, states.last_order_date)
                * date_diff('day', states.first_order_date, states.last_order_date)
            )
            / nullif((states.order_days - 1) * (states.order_days - 2), 0)
        ) as sd_gap_days,
        ---------- money
        coalesce(states.net_revenue, 0) as net_revenue,
        cast(coalesce(states.net_revenue, 0) - recent.net_revenue_30 as decimal(18, 4)) as net_revenue_30d,
        cast(coalesce(states.net_revenue, 0) - recent.net_revenue_90 as decimal(18, 4)) as net_revenue_90d,
        cast(coalesce(states.net_revenue, 0) - recent.net_revenue_180 as decimal(18, 4)) as net_revenue_180d,
        cast(coalesce(states.net_revenue, 0) - recent.net_revenue_365 as decimal(18, 4)) as net_revenue_365d,
        coalesce(states.gross_revenue, 0) as gross_revenue,
        coalesce(states.discounts, 0) as discounts,
        coalesce(states.returned_revenue, 0) as returned_revenue,
        coalesce(states.refunds, 0) as refunds,
        cast(
            (states.gross_revenue - states.discounts) / nullif(states.orders, 0) as decimal(18, 4)
        ) as average_order_value,
        ---------- habits
        coalesce(states.units, 0) as units,
        states.products as distinct_products,
        cast(
            (states.returned_revenue + states.refunds) / nullif(states.gross_revenue - states.discounts, 0) as double
        ) as return_rate,
        cast(states.weekend_orders / nullif(states.orders, 0) as double) as weekend_order_share,
        cast(states.evening_orders / nullif(states.orders, 0) as double) as evening_order_share,
        ---------- browsing
        coalesce(states.visits, 0) as visits,
        coalesce(states.visits, 0) - recent.visits_30 as visits_30d,
        coalesce(states.views, 0) as views,
        coalesce(states.carts, 0) as carts
    from recent
    inner join states on recent.state = states.state
    inner join entities on recent.entity = entities.entity
    left join persons
        on
            recent.as_of = persons.as_of
            and entities.customer_id = persons.customer_id
            and entities.member_ids is null
    left join compositions
        on
            recent.as_of = compositions.as_of
            and entities.customer_id = compositions.person_id
            and entities.member_ids = compositions.member_ids
    where
        (states.first_seen_date is not null or states.signed_up_at is not null)
        -- A customer who is part of a person at as_of is not a customer of their own then.
        and persons.customer_id is null
        and (entities.member_ids is null or compositions.person_id is not null)

)

select * from final
