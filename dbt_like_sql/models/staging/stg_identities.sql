{{ config(event_time='known_since') }}

-- Deleted rows are kept: they end a statement from their known_since on.

with source as (

    select * from {{ source('raw', 'identities') }}
    where {{ as_known() }}

),

final as (

    select
        ---------- ids
        customer_id,
        kind,
        other_id,
        ---------- times
        known_since,
        ---------- attributes
        deleted as is_deleted
    from source

)

select * from final
