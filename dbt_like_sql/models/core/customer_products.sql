{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['customer_id', 'product_id'],
    event_time='first_purchase_date',
    full_refresh=none if var('changed_days') else true,
    post_hook='delete from {{ this }} where first_purchase_date is null',
) }}

-- Guests have no customer_id and are excluded.

-- Incremental where the variable changed_days lists all days whose events changed since the last build. What the table
-- holds is then the first day of each pair over the other days, too, except where that first day changed. So a pair is
-- looked up in the history only if it was first bought on a changed day, and is not bought on that day any more.

{% set purchases %}
line_type = 'purchase' and customer_id is not null and product_id is not null
{%- endset %}
with
{% if is_incremental() %}
    delivered as (

        select
            customer_id,
            product_id,
            min(event_date) as first_purchase_date
        from {{ ref('stg_order_lines') }}
        where {{ purchases }} and {{ is_on_changed_days('event_at') }}
        group by customer_id, product_id

    ),

    compared as (

        select
            delivered.customer_id,
            delivered.product_id,
            delivered.first_purchase_date,
            stored.first_purchase_date as stored_date
        from delivered
        left join {{ this }} as stored
            on delivered.customer_id = stored.customer_id and delivered.product_id = stored.product_id

    ),

    lost as (

        select
            customer_id,
            product_id,
            first_purchase_date,
            stored_date
        from compared
        where first_purchase_date > stored_date and {{ is_on_changed_days('stored_date') }}
        union all
        select
            stored.customer_id,
            stored.product_id,
            null as first_purchase_date,
            stored.first_purchase_date as stored_date
        from {{ this }} as stored
        where
            {{ is_on_changed_days('stored.first_purchase_date') }}
            and not exists (
                select 1 from delivered
                where stored.customer_id = delivered.customer_id and stored.product_id = delivered.product_id
            )

    ),

    found_again as (

        select
            lines.customer_id,
            lines.product_id,
            min(lines.event_date) as first_purchase_date
        from {{ ref('stg_order_lines') }} as lines
        where
            {{ purchases }}
            and not {{ is_on_changed_days('lines.event_at') }}
            -- Few customers lose a pair. This condition makes them the side of the join that engines hold in memory.
            and lines.customer_id in (select distinct customer_id from lost)
            and exists (
                select 1 from lost
                where lines.customer_id = lost.customer_id and lines.product_id = lost.product_id
            )
        group by lines.customer_id, lines.product_id

    ),

    final as (

        select
            customer_id,
            product_id,
            first_purchase_date
        from compared
        where stored_date is null or first_purchase_date < stored_date
        union all
        -- Null where the customer has not bought the product at all: the hook deletes the pair.
        select
            lost.customer_id,
            lost.product_id,
            least(lost.first_purchase_date, found_again.first_purchase_date) as first_purchase_date
        from lost
        left join found_again
            on lost.customer_id = found_again.customer_id and lost.product_id = found_again.product_id

    )

{% else %}
    final as (

        select
            customer_id,
            product_id,
            min(event_date) as first_purchase_date
        from {{ ref('stg_order_lines') }}
        where {{ purchases }}
        group by customer_id, product_id

    )

{% endif %}
select * from final
