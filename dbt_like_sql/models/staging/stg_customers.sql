with source as (

    select * from {{ source('raw', 'customers') }}
    where {{ as_known() }}

),

final as (

    select
        ---------- ids
        customer_id,
        email_hash,
        ---------- when
        signed_up_at,
        ---------- who
        country,
        birth_year,
        gender,
        acquisition_channel,
        consent_marketing
    from source
    where not deleted

)

select * from final
