with source as (

    select * from {{ source('raw', 'customers') }}
    where {{ as_known() }}

),

final as (

    select
        ---------- ids
        customer_id,
        {{ no_hash_of_nothing('email_hash') }} as email_hash,
        {{ no_hash_of_nothing('phone_hash') }} as phone_hash,
        device_id,
        ---------- times
        signed_up_at,
        ---------- personal attributes
        country,
        birth_year,
        gender,
        acquisition_channel,
        consent_marketing
    from source
    where not deleted

)

select * from final
