{{ config(event_time='as_of') }}

-- The calibration of churn scores by the age of their model. The level is forecast at every score, so the error should
-- not grow between trainings. A view, so that a score is graded when its labels are mature.

with scored as (

    select
        as_of,
        model_name,
        model_version,
        cast(
            floor(date_diff('day', cast(model_as_of as date), cast(as_of as date)) / 7.0) as bigint
        ) as weeks_since_training,
        max(labelled) as customers,
        max(value) filter (where metric = 'mean_probability') as mean_probability,
        max(value) filter (where metric = 'base_rate') as base_rate,
        max(value) filter (where metric = 'calibration_error') as calibration_error
    from {{ ref('churn_scorecard') }}
    where labelled > 0
    group by as_of, model_name, model_version, model_as_of

),

final as (

    select
        as_of,
        model_name,
        model_version,
        weeks_since_training,
        customers,
        mean_probability,
        base_rate,
        mean_probability - base_rate as level_error,
        calibration_error
    from scored

)

select * from final
