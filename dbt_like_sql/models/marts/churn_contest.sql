{{ config(event_time='as_of') }}

-- The evaluations of models.churn_model, one row per candidate.

with trainings as (

    select * from {{ source('models', 'churn_model') }}
    where model_version is not null

),

metrics as (

    select
        as_of,
        candidate,
        {{ metric('exact_reasons') }} = 1 as exact_reasons,
        {{ metric('is_dropped') }} = 1 as is_dropped,
        {{ metric('race_log_loss') }} as race_log_loss,
        {{ metric('validation_log_loss') }} as validation_log_loss,
        {{ metric('roc_auc') }} as roc_auc,
        {{ metric('average_precision') }} as average_precision,
        {{ metric('brier') }} as brier,
        {{ metric('log_loss') }} as log_loss,
        {{ metric('calibration_error_before') }} as calibration_error_before,
        {{ metric('calibration_error') }} as calibration_error,
        {{ metric('precision') }} as precision,
        {{ metric('recall') }} as recall,
        {{ metric('f1') }} as f1,
        {{ metric('lift_at_10') }} as lift_at_10,
        {{ metric('auc_over_recency') }} as auc_over_recency,
        {{ metric_low('auc_over_recency') }} as auc_over_recency_low,
        {{ metric_high('auc_over_recency') }} as auc_over_recency_high,
        {{ metric('auc_over_winner') }} as auc_over_winner,
        {{ metric_low('auc_over_winner') }} as auc_over_winner_low,
        {{ metric_high('auc_over_winner') }} as auc_over_winner_high,
        {{ metric('seconds') }} as seconds
    from {{ source('models', 'candidate_metrics') }}
    where model = 'models.churn_model'
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
        metrics.exact_reasons,
        ---------- in the race on a sample; a candidate that was dropped there has no figures below
        metrics.is_dropped,
        metrics.race_log_loss,
        metrics.validation_log_loss,
        ---------- on the test snapshot, calibrated
        metrics.roc_auc,
        metrics.average_precision,
        metrics.brier,
        metrics.log_loss,
        metrics.calibration_error_before,
        metrics.calibration_error,
        metrics.precision,
        metrics.recall,
        metrics.f1,
        metrics.lift_at_10,
        ---------- differences with their 95% intervals
        metrics.auc_over_recency,
        metrics.auc_over_recency_low,
        metrics.auc_over_recency_high,
        metrics.auc_over_winner,
        metrics.auc_over_winner_low,
        metrics.auc_over_winner_high,
        metrics.seconds
    from trainings
    inner join metrics on trainings.as_of = metrics.as_of

)

select * from final
