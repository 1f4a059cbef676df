{{ config(materialized='table', event_time='order_date') }}

-- An order counts on the day of its first purchase line. These are its later days, which daily tables do not count.
-- Nearly empty: an order continues on another day only if it lasts past midnight, or if its id is used again.

with days as (

    select
        order_date,
        order_id,
        customer_id
    from {{ ref('order_days') }}
    where lines > 0

),

firsts as (

    select
        order_id,
        customer_id,
        min(order_date) as first_date
    from days
    group by order_id, customer_id
    having count(*) > 1

),

final as (

    select
        days.order_date,
        days.order_id,
        days.customer_id,
        firsts.first_date
    from days
    inner join firsts
        on
            days.order_id = firsts.order_id
            and days.customer_id is not distinct from firsts.customer_id
            and days.order_date > firsts.first_date

)

select * from final
