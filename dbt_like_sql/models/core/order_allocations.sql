{{ config(materialized='table', event_time='event_date') }}

-- Discounts and refunds of whole orders, spread over the product lines of the order in proportion to what they cost,
-- to the cent: each line gets its share rounded down, and the cents that are left go to the lines with the largest
-- remainders, at equal remainders to the earlier line. If all lines are free, the shares are equal. What an amount has
-- below a cent goes to the next line in that order. Whole numbers of 1/10,000 keep the sums exact.
-- An event without a customer belongs to the first order with its id. An event that names a product is one row of it;
-- one without a product line of its order is one row of the product '(no product)'.

-- One condition of equality for each type: a scan then reads other columns of matching rows only.
with events as (

    {% for line_type in ['discount', 'refund'] %}
        {% if not loop.first %}union all{% endif %}
        select
            event_id,
            event_date,
            order_id,
            customer_id,
            product_id,
            channel,
            country,
            line_type,
            {{ line_type }}s as amount
        from {{ ref('stg_order_lines') }}
        where line_type = '{{ line_type }}'
    {% endfor %}

),

ids as (

    select distinct events.order_id from events

),

-- The order_id is compared before anything else, so that a shop without such events reads nothing more.
lines as (

    select
        lines.event_id,
        lines.order_id,
        lines.customer_id,
        lines.product_id,
        lines.event_at,
        lines.country,
        lines.gross_revenue - lines.discounts as amount,
        coalesce(min(lines.channel) over (partition by lines.order_id, lines.customer_id), 'unknown') as channel
    from {{ ref('stg_order_lines') }} as lines
    inner join ids on lines.order_id = ids.order_id
    where lines.line_type = 'purchase'

),

orders as (

    select
        *,
        row_number() over (partition by order_id order by first_at asc, customer_id asc nulls last) as place
    from (
        select
            order_id,
            customer_id,
            min(event_at) as first_at,
            sum(amount) as amount,
            count(*) as lines
        from lines
        group by order_id, customer_id
    ) as found

),

matched as (

    select
        events.event_id,
        events.event_date,
        events.order_id,
        events.product_id,
        events.line_type,
        events.amount,
        coalesce(own.customer_id, firsts.customer_id, events.customer_id) as customer_id,
        coalesce(own.amount, firsts.amount, 0) as order_amount,
        case when events.product_id is null then coalesce(own.lines, firsts.lines, 0) else 0 end as order_lines,
        coalesce(events.channel, 'unknown') as channel,
        coalesce(events.country, 'unknown') as country
    from events
    left join orders as own
        on events.order_id = own.order_id and events.customer_id is not distinct from own.customer_id
    left join orders as firsts
        on
            events.order_id = firsts.order_id
            and firsts.place = 1
            and events.customer_id is null
            and own.order_id is null

),

weighed as (

    select
        matched.event_id,
        matched.event_date,
        matched.order_id,
        matched.customer_id,
        matched.line_type,
        lines.event_id as line_id,
        lines.event_at as line_at,
        coalesce(lines.product_id, matched.product_id, '(no product)') as product_id,
        coalesce(lines.channel, matched.channel) as channel,
        coalesce(lines.country, matched.country) as country,
        {{ ten_thousandths('matched.amount') }} as amount,
        case
            when matched.order_lines > 0 and matched.order_amount > 0 then {{ ten_thousandths('lines.amount') }}
            else 1
        end as weight,
        case
            when matched.order_lines > 0 and matched.order_amount > 0 then {{ ten_thousandths('matched.order_amount') }}
            else greatest(matched.order_lines, 1)
        end as total
    from matched
    left join lines
        on
            matched.order_lines > 0
            and matched.order_id = lines.order_id
            and matched.customer_id is not distinct from lines.customer_id

),

-- Shares in whole cents, rounded down, and what is left of them, in 1/10,000 of an amount.
shared as (

    select
        *,
        (amount * weight) // (total * 100) as cents,
        (amount * weight) % (total * 100) as remainder
    from weighed

),

ranked as (

    select
        *,
        amount - 100 * sum(cents) over (partition by event_id, event_date) as left_over,
        row_number() over (
            partition by event_id, event_date order by remainder desc, line_at asc, line_id asc
        ) as place
    from shared

),

spread as (

    select
        *,
        cast(
            100 * cents
            + case
                when place <= left_over // 100 then 100
                when place = left_over // 100 + 1 then left_over % 100
                else 0
            end as decimal(38, 0)
        ) * cast(0.0001 as decimal(5, 4)) as share
    from ranked

),

final as (

    select
        ---------- ids
        event_date,
        event_id,
        line_id,
        order_id,
        customer_id,
        product_id,
        ---------- attributes
        channel,
        country,
        ---------- money
        cast(case when line_type = 'discount' then share else 0 end as decimal(18, 4)) as discounts,
        cast(case when line_type = 'refund' then share else 0 end as decimal(18, 4)) as refunds
    from spread

)

select * from final
