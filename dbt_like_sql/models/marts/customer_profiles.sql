{{ config(event_time='as_of') }}

-- A view: the columns that custom segments and the playbook may name. Scores exist for scored snapshots only.

with features as (

    select * from {{ ref('customer_features') }}

),

-- A person with several accounts consents if no account refuses and at least one consents.
joined_consents as (

    select
        identities.as_of,
        identities.person_id,
        bool_and(customers.consent_marketing) as consents
    from {{ ref('customer_identities') }} as identities
    inner join {{ ref('stg_customers') }} as customers on identities.customer_id = customers.customer_id
    group by identities.as_of, identities.person_id

),

final as (

    select
        ---------- ids
        features.as_of,
        features.customer_id,
        ---------- permission
        case
            when joined_consents.person_id is not null then joined_consents.consents
            else customers.consent_marketing
        end as consents,
        ---------- history
        features.country,
        customers.acquisition_channel,
        stages.known_days,
        features.recency_days,
        features.tenure_days,
        features.orders,
        features.orders_90d,
        features.orders_365d,
        features.net_revenue,
        features.net_revenue_90d,
        features.net_revenue_365d,
        features.average_order_value,
        features.discounts,
        features.distinct_products,
        features.return_rate,
        features.mean_gap_days,
        features.visits_30d,
        features.carts,
        ---------- segments
        scores.r_score,
        scores.f_score,
        scores.m_score,
        scores.segment,
        stages.stage,
        personas.persona,
        ---------- predictions
        churn.churn_probability,
        churn.risk_band,
        churn.horizon_days as churn_horizon_days,
        value.expected_orders,
        value.expected_revenue,
        value.value_tier,
        value.probability_of_no_order,
        value.horizon_days as value_horizon_days
    from features
    left join joined_consents
        on features.as_of = joined_consents.as_of and features.customer_id = joined_consents.person_id
    left join {{ ref('stg_customers') }} as customers on features.customer_id = customers.customer_id
    left join {{ ref('rfm_states') }} as scores
        on features.as_of = scores.as_of and features.customer_id = scores.customer_id
    left join {{ ref('stage_states') }} as stages
        on features.as_of = stages.as_of and features.customer_id = stages.customer_id
    left join {{ source('marts', 'personas') }} as personas
        on features.as_of = personas.as_of and features.customer_id = personas.customer_id
    left join {{ source('marts', 'churn_scores') }} as churn
        on features.as_of = churn.as_of and features.customer_id = churn.customer_id
    left join {{ source('marts', 'customer_value') }} as value
        on features.as_of = value.as_of and features.customer_id = value.customer_id

)

select * from final
