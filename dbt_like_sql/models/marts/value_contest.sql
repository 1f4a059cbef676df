{{ config(event_time='as_of') }}

-- The evaluations of models.value_model, one row per candidate.

with trainings as (

    select * from {{ source('models', 'value_model') }}
    where model_version is not null

),

metrics as (

    select
        as_of,
        candidate,
        {{ metric('is_baseline') }} = 1 as is_baseline,
        {{ metric('validation_score') }} as validation_score,
        {{ metric('bias_before') }} as bias_before,
        {{ metric('bias') }} as bias,
        {{ metric('mae') }} as mae,
        {{ metric('rmse') }} as rmse,
        {{ metric('spearman') }} as spearman,
        {{ metric('gini') }} as gini,
        {{ metric('catch') }} as catch,
        {{ metric('best_catch') }} as best_catch,
        {{ metric('mae_over_past_rate') }} as mae_over_past_rate,
        {{ metric_low('mae_over_past_rate') }} as mae_over_past_rate_low,
        {{ metric_high('mae_over_past_rate') }} as mae_over_past_rate_high,
        {{ metric('catch_over_past_rate') }} as catch_over_past_rate,
        {{ metric_low('catch_over_past_rate') }} as catch_over_past_rate_low,
        {{ metric_high('catch_over_past_rate') }} as catch_over_past_rate_high,
        {{ metric('seconds') }} as seconds
    from {{ source('models', 'candidate_metrics') }}
    where model = 'models.value_model'
    group by as_of, candidate

),

final as (

    select
        trainings.as_of,
        trainings.tested_as_of,
        trainings.horizon_days,
        trainings.model_version,
        metrics.candidate as contestant,
        metrics.candidate = trainings.winner as is_winner,
        metrics.is_baseline,
        metrics.validation_score,
        ---------- on the test snapshot
        metrics.bias_before,
        metrics.bias,
        metrics.mae,
        metrics.rmse,
        metrics.spearman,
        metrics.gini,
        metrics.catch,
        metrics.best_catch,
        ---------- differences with their 95% intervals
        metrics.mae_over_past_rate,
        metrics.mae_over_past_rate_low,
        metrics.mae_over_past_rate_high,
        metrics.catch_over_past_rate,
        metrics.catch_over_past_rate_low,
        metrics.catch_over_past_rate_high,
        metrics.seconds
    from trainings
    inner join metrics on trainings.as_of = metrics.as_of

)

select * from final
