with source as (

    select * from {{ source('raw', 'customers') }}
    where {{ as_known() }}

),

final as (

    select
        ---------- ids
        customer_id,
        email_hash,
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
