{{ config(event_time='as_of') }}

-- The scorecards of all models, one below the other.

with final as (

    select * from {{ ref('churn_scorecard') }}
    union all
    select * from {{ ref('value_scorecard') }}
    union all
    select * from {{ ref('demand_scorecard') }}
    union all
    select * from {{ ref('recommendation_scorecard') }}
    union all
    select * from {{ ref('persona_scorecard') }}

)

select * from final
