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
{% set last_date = 'cast(' ~ last_as_of() ~ ' as date)' %}
-- With one as_of, the last day before it stands for all days before it.
{% set on_day = last_date ~ ' - 1' if is_one else 'activity_date' %}
{% set facts = {
    'days': ['seen_date', 'country'] + sums | list,
    'gaps': ['previous_date', 'squared_gap_days'],
    'new_products': ['products'],
    'sign_ups': ['signed_up_at', 'account_country', 'account_place'],
} %}
with as_ofs as (

    select * from {{ as_ofs() }} as instants

),

ends as (

    select count(*) + 1 as end_n from as_ofs

),

{{ snapshot_entities() }}

days as (

    select
        {{ entity_of('daily') }} as entity,
        daily.activity_date,
        daily.activity_date as seen_date,
        daily.country,
    {% for column in sums %}
        daily.{{ column }}{{ ',' if not loop.last else '' }}
    {% endfor %}
    from {{ ref('customer_daily') }} as daily
    {{ join_customers('daily') }}
    where daily.activity_date < {{ last_date }}
    union all
    select
        members.entity,
        daily.activity_date,
        daily.activity_date as seen_date,
        max(daily.country) as country,
    {% for column, type in sums.items() %}
        cast(sum(daily.{{ column }}) as {{ type }}) as {{ column }}{{ ',' if not loop.last else '' }}
    {% endfor %}
    from members
    inner join {{ ref('customer_daily') }} as daily on members.customer_id = daily.customer_id
    where daily.activity_date < {{ last_date }}
    group by members.entity, daily.activity_date

),

-- How many products an entity bought for the first time, by day; with one as_of, on all days before it.
new_products as (

    select
        {{ entity_of('firsts') }} as entity,
        firsts.activity_date,
        firsts.products
    from (
        select
            customer_id,
            {{ on_day.replace('activity_date', 'first_purchase_date') }} as activity_date,
            count(first_purchase_date) as products
        from {{ ref('customer_products') }}
        where first_purchase_date < {{ last_date }}
        group by customer_id, activity_date
    ) as firsts
    {{ join_customers('firsts') }}
    union all
    select
        entity,
        {{ on_day.replace('activity_date', 'first_purchase_date') }} as activity_date,
        count(first_purchase_date) as products
    from (
        select
            members.entity,
            bought.product_id,
            min(bought.first_purchase_date) as first_purchase_date
        from members
        inner join {{ ref('customer_products') }} as bought on members.customer_id = bought.customer_id
        where bought.first_purchase_date < {{ last_date }}
        group by members.entity, bought.product_id
    ) as firsts
    group by entity, activity_date

),

order_days as (

    {% if is_one %}
        -- Read once more: an engine would hold the wide rows of days in memory for a second use.
        select
            customer_id as entity,
            activity_date
        from {{ ref('customer_daily') }}
        where orders > 0 and activity_date < {{ last_date }}
        union all
        select distinct
            members.entity,
            daily.activity_date
        from members
        inner join {{ ref('customer_daily') }} as daily on members.customer_id = daily.customer_id
        where daily.orders > 0 and daily.activity_date < {{ last_date }}
    {% else %}
        select
            entity,
            activity_date
        from days
        where orders > 0
    {% endif %}

),

-- The gaps between the days with an order; with one as_of, all gaps of an entity together.
gaps as (

    select
        entity,
        {{ on_day }} as activity_date,
        max(previous_date) as previous_date,
        sum(gap * gap) as squared_gap_days
    from (
        select
            entity,
            activity_date,
            lag(activity_date) over so_far as previous_date,
            date_diff('day', lag(activity_date) over so_far, activity_date) as gap
        from order_days
        window so_far as (partition by entity order by activity_date)
    ) as neighbours
    where previous_date is not null
    group by entity, {{ on_day }}

),

-- What each day adds to the state of an entity.
news as (

    {% for relation, columns in facts.items() %}
        select
            entity,
            activity_date,
        {% for column in facts.values() | sum(start=[]) %}
            {{ column if column in columns else 'null as ' ~ column }}{{ ',' if not loop.last else '' }}
        {% endfor %}
        from {{ relation }}
        {{ 'union all' if not loop.last else '' }}
    {% endfor %}

),

{% if not is_one %}
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

{% endif %}
steps as (

    select
        news.entity,
        {{ '1' if is_one else 'numbers.n' }} as n,
        min(news.seen_date) as first_seen_date,
        max(news.seen_date) as last_seen_date,
        max_by(news.country, news.seen_date) as country,
        min(case when news.orders > 0 then news.seen_date end) as first_order_date,
        max(case when news.orders > 0 then news.seen_date end) as last_order_date,
        max(news.previous_date) as previous_order_date,
        count(case when news.orders > 0 then 1 end) as order_days,
        sum(news.squared_gap_days) as squared_gap_days,
        {% for column in sums %}
            sum(news.{{ column }}) as {{ column }},
        {% endfor %}
        sum(case when {{ day_of_week('news.seen_date') }} >= 6 then news.orders else 0 end) as weekend_orders,
        sum(news.products) as products,
        {% for column, age in older if is_one %}
            sum(case when news.seen_date + {{ age }} < {{ last_date }} then news.{{ column }} end)
                as {{ column }}_{{ age }},
        {% endfor %}
        min(news.signed_up_at) as signed_up_at,
        min_by(news.account_country, news.account_place) as account_country
    from news
    {% if is_one %}
        group by news.entity
    {% else %}
        inner join numbers on news.activity_date = numbers.activity_date
        group by news.entity, numbers.n
    {% endif %}

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
    current_states as (

        select
            states.*,
            as_ofs.as_of,
            as_ofs.as_of_date
        from states
        cross join as_ofs

    ),

{% else %}
    {% for age in ages %}
        {{ snapshot_older_days(age) }}
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

    current_states as (

        select
            states.*,
            as_ofs.as_of,
            as_ofs.as_of_date,
        {% for column, age in older %}
            coalesce(older_{{ age }}.{{ column }}, 0) as {{ column }}_{{ age }}{{ ',' if not loop.last else '' }}
        {% endfor %}
        from held
        inner join states on held.state = states.state
        inner join as_ofs on held.n = as_ofs.n
        {% for age in ages %}
            left join older_{{ age }} on held.place = older_{{ age }}.place
        {% endfor %}

    ),

{% endif %}
final as (

    select
        states.as_of,
        entities.customer_id,
        coalesce(states.account_country, entities.country, states.country) as country,
        cast(states.signed_up_at as date) as signed_up_date,
        states.first_seen_date,
        states.last_seen_date,
        ---------- orders
        states.first_order_date,
        states.last_order_date,
        date_diff('day', states.last_order_date, states.as_of_date) as recency_days,
        date_diff('day', states.first_order_date, states.as_of_date) as tenure_days,
        date_diff('day', states.previous_order_date, states.as_of_date) as previous_order_days,
        states.order_days,
        coalesce(states.orders, 0) as orders,
        coalesce(states.orders, 0) - states.orders_30 as orders_30d,
        coalesce(states.orders, 0) - states.orders_90 as orders_90d,
        coalesce(states.orders, 0) - states.orders_180 as orders_180d,
        coalesce(states.orders, 0) - states.orders_365 as orders_365d,
        states.orders_275 - states.orders_365 as orders_year_ago_90d,
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
        cast(coalesce(states.net_revenue, 0) - states.net_revenue_30 as decimal(18, 4)) as net_revenue_30d,
        cast(coalesce(states.net_revenue, 0) - states.net_revenue_90 as decimal(18, 4)) as net_revenue_90d,
        cast(coalesce(states.net_revenue, 0) - states.net_revenue_180 as decimal(18, 4)) as net_revenue_180d,
        cast(coalesce(states.net_revenue, 0) - states.net_revenue_365 as decimal(18, 4)) as net_revenue_365d,
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
        coalesce(states.visits, 0) - states.visits_30 as visits_30d,
        coalesce(states.views, 0) as views,
        coalesce(states.carts, 0) as carts
    from current_states as states
    inner join entities on states.entity = entities.entity
    left join persons
        on
            states.as_of = persons.as_of
            and entities.customer_id = persons.customer_id
            and entities.member_ids is null
    left join compositions
        on
            states.as_of = compositions.as_of
            and entities.customer_id = compositions.person_id
            and entities.member_ids = compositions.member_ids
    where
        (states.first_seen_date is not null or states.signed_up_at is not null)
        -- A customer who is part of a person at as_of is not a customer of their own then.
        and persons.customer_id is null
        and (entities.member_ids is null or compositions.person_id is not null)

)

select * from final
