{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- Ids that several customers have before as_of, and whether they join them. The sources are events, the customers table
-- and the shop's own statements (stg_identities). No rows if no two customers share an id.

with stated as (

    select
        customer_id,
        kind,
        other_id,
        known_since
    from (
        select
            *,
            row_number() over (partition by customer_id, kind, other_id order by known_since desc) as place
        from {{ ref('stg_identities') }}
        where known_since < cast('{{ var("as_of") }}' as timestamp)
    ) as statements
    where place = 1 and not is_deleted
    -- People share names and addresses: these are hints for proposals, and join nobody.
    and kind not in ('name_hash', 'address_hash')

),

signed_up as (

    select * from {{ ref('stg_customers') }}
    where signed_up_at is null or signed_up_at < cast('{{ var("as_of") }}' as timestamp)

),

found as (

    select
        customer_id,
        kind,
        other_id,
        first_seen_at as known_since
    from {{ ref('identifiers_daily') }}
    where activity_date < cast('{{ var("as_of") }}' as date)
    {% for kind in ['email_hash', 'phone_hash', 'device_id'] %}
        union all
        select
            customer_id,
            '{{ kind }}' as kind,
            {{ kind }} as other_id,
            signed_up_at as known_since
        from signed_up
        where {{ kind }} is not null
    {% endfor %}
    union all
    select
        customer_id,
        kind,
        other_id,
        known_since
    from stated
    union all
    -- An account that another one names has its own id, too.
    select
        other_id as customer_id,
        kind,
        other_id,
        known_since
    from stated
    where kind = 'customer_id'

),

held as (

    select
        kind,
        other_id,
        customer_id,
        min(known_since) as known_since
    from found
    group by kind, other_id, customer_id

),

several as (

    select
        kind,
        other_id
    from held
    group by kind, other_id
    having count(*) > 1

),

candidates as (

    select
        held.kind,
        held.other_id,
        held.customer_id,
        held.known_since
    from held
    inner join several on held.kind = several.kind and held.other_id = several.other_id

),

customers as (

    select
        customer_id,
        min(known_since) as known_since
    from candidates
    group by customer_id

),

active as (

    select
        customers.customer_id,
        min(daily.activity_date) as first_active_date
    from customers
    inner join {{ ref('customer_daily') }} as daily on customers.customer_id = daily.customer_id
    where daily.activity_date < cast('{{ var("as_of") }}' as date)
    group by customers.customer_id

),

-- A customer without an event, sign-up time or statement before as_of is not known yet.
seen as (

    select
        customers.customer_id,
        least(
            cast(customers.known_since as date), active.first_active_date, cast(signed_up.signed_up_at as date)
        ) as first_seen_date,
        signed_up.birth_year,
        signed_up.gender,
        signed_up.phone_hash
    from customers
    left join active on customers.customer_id = active.customer_id
    left join signed_up on customers.customer_id = signed_up.customer_id
    where
        customers.known_since is not null
        or active.first_active_date is not null
        or signed_up.signed_up_at is not null

),

counted as (

    select
        candidates.kind,
        candidates.other_id,
        candidates.customer_id,
        seen.first_seen_date,
        seen.phone_hash,
        coalesce(candidates.known_since, cast(seen.first_seen_date as timestamp)) as known_since,
        -- Who must be the same besides the id: null for nobody.
        case
            when candidates.kind <> 'device_id' or '{{ var("identity_devices") }}' = 'always' then ''
            when '{{ var("identity_devices") }}' = 'confirmed' and seen.birth_year is not null
                then concat(seen.birth_year, ' ', lower(coalesce(seen.gender, '')))
        end as same,
        count(*) over (partition by candidates.kind, candidates.other_id) as customers
    from candidates
    inner join seen on candidates.customer_id = seen.customer_id

),

grouped as (

    select
        *,
        count(*) over (partition by kind, other_id, same) as alike,
        min(phone_hash) over (partition by kind, other_id, same) as first_phone,
        max(phone_hash) over (partition by kind, other_id, same) as last_phone
    from counted
    where customers > 1

),

final as (

    select
        cast('{{ var("as_of") }}' as timestamp) as as_of,
        kind,
        other_id,
        customer_id,
        known_since,
        first_seen_date,
        customers,
        case
            when customers > {{ var('identity_hub') }} then 'hub'
            when same is null or alike = 1 then 'unconfirmed'
            when kind = 'device_id' and same <> '' and first_phone <> last_phone then 'unconfirmed'
        end as blocked_by,
        same
    from grouped

)

select * from final
