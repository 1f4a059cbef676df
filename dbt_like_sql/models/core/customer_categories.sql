{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- Money of each category and person strictly before as_of, and the share of the category in what the person bought.
-- Discounts and refunds of whole orders are spread over the products of the order. There are no rows if the shop has no
-- products table or no categories.

with as_ofs as (

    select * from {{ as_ofs() }} as instants

),

ends as (

    select count(*) + 1 as end_n from as_ofs

),

categories as (

    select
        product_id,
        category
    from {{ ref('stg_catalogue') }}
    where category is not null

),

money as (

    select
        customer_id,
        product_id,
        cast(event_at as date) as event_date,
        gross_revenue,
        discounts,
        returned_revenue,
        0 as refunds
    from {{ ref('stg_order_lines') }}
    where
        line_type in ('purchase', 'return')
        and customer_id is not null
        and event_at < {{ last_as_of() }}
    union all
    select
        customer_id,
        product_id,
        event_date,
        0 as gross_revenue,
        discounts,
        0 as returned_revenue,
        refunds
    from {{ ref('order_allocations') }}
    where customer_id is not null and event_date < cast({{ last_as_of() }} as date)

),

sold as (

    select
        money.customer_id,
        categories.category,
        money.event_date,
        sum(money.gross_revenue) as gross_revenue,
        sum(money.discounts) as discounts,
        sum(money.returned_revenue) as returned_revenue,
        sum(money.refunds) as refunds
    from money
    inner join categories on money.product_id = categories.product_id
    group by money.customer_id, categories.category, money.event_date

),

-- The number of the first snapshot after each date.
numbers as (

    select
        dates.event_date,
        count(case when as_ofs.as_of_date <= dates.event_date then 1 end) + 1 as n
    from (select distinct event_date from sold) as dates
    cross join as_ofs
    group by dates.event_date

),

changes as (

    select
        sold.customer_id,
        sold.category,
        numbers.n,
        sum(sold.gross_revenue) as gross_revenue,
        sum(sold.discounts) as discounts,
        sum(sold.returned_revenue) as returned_revenue,
        sum(sold.refunds) as refunds
    from sold
    inner join numbers on sold.event_date = numbers.event_date
    group by sold.customer_id, sold.category, numbers.n

),

states as (

    select
        changes.customer_id,
        changes.category,
        changes.n,
        {{ next_number('changes.n', 'ends.end_n') }} as end_n,
        {{ running('sum', 'changes.gross_revenue') }} as gross_revenue,
        {{ running('sum', 'changes.discounts') }} as discounts,
        {{ running('sum', 'changes.returned_revenue') }} as returned_revenue,
        {{ running('sum', 'changes.refunds') }} as refunds
    from changes
    cross join ends
    window so_far as (
        partition by changes.customer_id, changes.category
        order by changes.n
        rows between unbounded preceding and current row
    )

),

held as (

    select
        customer_id,
        category,
        gross_revenue,
        discounts,
        returned_revenue,
        refunds,
        {{ number_series('n', 'end_n') }} as n
    from states

),

summed as (

    select
        as_ofs.as_of,
        coalesce(persons.person_id, held.customer_id) as customer_id,
        held.category,
        sum(held.gross_revenue) as gross_revenue,
        sum(held.discounts) as discounts,
        sum(held.returned_revenue) as returned_revenue,
        sum(held.refunds) as refunds
    from held
    inner join as_ofs on held.n = as_ofs.n
    left join {{ persons_at_as_of() }} as persons
        on as_ofs.as_of = persons.as_of and held.customer_id = persons.customer_id
    group by as_ofs.as_of, coalesce(persons.person_id, held.customer_id), held.category

),

final as (

    select
        ---------- ids
        as_of,
        customer_id,
        category,
        ---------- money
        cast(gross_revenue as decimal(18, 4)) as gross_revenue,
        cast(discounts as decimal(18, 4)) as discounts,
        cast(returned_revenue as decimal(18, 4)) as returned_revenue,
        cast(refunds as decimal(18, 4)) as refunds,
        cast(gross_revenue - discounts - returned_revenue - refunds as decimal(18, 4)) as net_revenue,
        cast(gross_revenue / nullif(sum(gross_revenue) over (partition by as_of, customer_id), 0) as double) as share
    from summed

)

select * from final
