{{ config(event_time='as_of') }}

-- The only source of exports. Consent is that of now, not of the plan: whoever has withdrawn it since is not contacted,
-- and neither is a person with several accounts of which one refuses.

with plans as (

    select * from {{ source('marts', 'next_best_actions') }}

),

accounts as (

    select
        customer_id,
        consent_marketing
    from {{ ref('stg_customers') }}
    where consent_marketing is not null

),

statements as (

    select
        customer_id as person_id,
        consent_marketing
    from accounts
    union all
    select
        identities.person_id,
        accounts.consent_marketing
    from {{ ref('customer_identities') }} as identities
    inner join accounts on identities.customer_id = accounts.customer_id

),

consents as (

    select
        person_id,
        bool_and(consent_marketing) as consents
    from statements
    group by person_id

),

final as (

    select
        plans.as_of,
        plans.customer_id,
        plans.action,
        plans.play,
        plans.channel,
        plans.expected_cost,
        plans.expected_gain,
        plans.products,
        plans.reason
    from plans
    left join consents on plans.customer_id = consents.person_id
    where
        plans.arm = 'treated'
        and plans.action <> 'nothing'
        and coalesce(consents.consents, '{{ var('actions_consent') }}' = 'assumed')

)

select * from final
