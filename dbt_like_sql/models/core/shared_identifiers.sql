{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- Ids that several customers have before as_of, and whether they join them. The sources are events, the customers table
-- and the shop's own statements (stg_identities). No rows if no two customers share an id.

with as_ofs as (

    select * from {{ as_ofs() }} as instants

),

stated as (

    select
        as_of,
        customer_id,
        kind,
        other_id,
        known_since
    from (
        select
            as_ofs.as_of,
            statements.*,
            row_number() over (
                partition by as_ofs.as_of, statements.customer_id, statements.kind, statements.other_id
                order by statements.known_since desc
            ) as place
        from {{ ref('stg_identities') }} as statements
        inner join as_ofs on statements.known_since < as_ofs.as_of
    ) as statements
    where place = 1 and not is_deleted
    -- People share names and addresses: these are hints for proposals, and join nobody.
    and kind not in ('name_hash', 'address_hash')

),

told as (

    select
        as_of,
        customer_id,
        kind,
        other_id,
        known_since
    from stated
    union all
    -- An account that another one names has its own id, too.
    select
        as_of,
        other_id as customer_id,
        kind,
        other_id,
        known_since
    from stated
    where kind = 'customer_id'

),

signed_up as (

    select * from {{ ref('stg_customers') }}
    where signed_up_at is null or signed_up_at < {{ last_as_of() }}

),

-- An account without a sign-up time is known at any as_of, since no known time.
found as (

    select
        kind,
        other_id,
        customer_id,
        min(known_since) as known_since,
        count(*) > count(known_since) as is_undated
    from (
        select
            customer_id,
            kind,
            other_id,
            first_seen_at as known_since
        from {{ ref('identifiers_daily') }}
        where activity_date < cast({{ last_as_of() }} as date)
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
    ) as events
    group by kind, other_id, customer_id

),

-- Ids that several customers have at some as_of. Only these are looked at for each as_of.
possible as (

    select
        kind,
        other_id
    from (
        select
            kind,
            other_id,
            customer_id
        from found
        union
        select
            kind,
            other_id,
            customer_id
        from told
    ) as holders
    group by kind, other_id
    having count(*) > 1

),

held as (

    select
        as_of,
        kind,
        other_id,
        customer_id,
        min(known_since) as known_since
    from (
        select
            as_ofs.as_of,
            found.kind,
            found.other_id,
            found.customer_id,
            case when found.known_since < as_ofs.as_of then found.known_since end as known_since
        from found
        inner join possible on found.kind = possible.kind and found.other_id = possible.other_id
        inner join as_ofs on found.is_undated or found.known_since < as_ofs.as_of
        union all
        select
            as_of,
            kind,
            other_id,
            customer_id,
            known_since
        from told
    ) as known
    group by as_of, kind, other_id, customer_id

),

several as (

    select
        as_of,
        kind,
        other_id
    from held
    group by as_of, kind, other_id
    having count(*) > 1

),

candidates as (

    select
        held.as_of,
        held.kind,
        held.other_id,
        held.customer_id,
        held.known_since
    from held
    inner join several
        on held.as_of = several.as_of and held.kind = several.kind and held.other_id = several.other_id

),

customers as (

    select
        as_of,
        customer_id,
        min(known_since) as known_since
    from candidates
    group by as_of, customer_id

),

active as (

    select
        customers.customer_id,
        min(daily.activity_date) as first_active_date
    from (select distinct customer_id from customers) as customers
    inner join {{ ref('customer_daily') }} as daily on customers.customer_id = daily.customer_id
    group by customers.customer_id

),

-- A customer without an event, sign-up time or statement before as_of is not known yet.
seen as (

    select
        customers.as_of,
        customers.customer_id,
        least(
            cast(customers.known_since as date), active.first_active_date, cast(signed_up.signed_up_at as date)
        ) as first_seen_date,
        signed_up.birth_year,
        signed_up.gender,
        signed_up.phone_hash
    from customers
    left join active
        on
            customers.customer_id = active.customer_id
            and cast(customers.as_of as date) > active.first_active_date
    left join signed_up
        on
            customers.customer_id = signed_up.customer_id
            and (signed_up.signed_up_at is null or customers.as_of > signed_up.signed_up_at)
    where
        customers.known_since is not null
        or active.first_active_date is not null
        or signed_up.signed_up_at is not null

),

counted as (

    select
        candidates.as_of,
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
        count(*) over (partition by candidates.as_of, candidates.kind, candidates.other_id) as customers
    from candidates
    inner join seen on candidates.as_of = seen.as_of and candidates.customer_id = seen.customer_id

),

grouped as (

    select
        *,
        count(*) over (partition by as_of, kind, other_id, same) as alike,
        min(phone_hash) over (partition by as_of, kind, other_id, same) as first_phone,
        max(phone_hash) over (partition by as_of, kind, other_id, same) as last_phone
    from counted
    where customers > 1

),

final as (

    select
        as_of,
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
