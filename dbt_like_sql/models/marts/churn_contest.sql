{{ config(event_time='as_of') }}

-- The contests of models.churn_model, a row for each contestant.

with contests as (

    select
        as_of,
        tested_as_of,
        horizon_days,
        model_version,
        unnest(from_json(contest, '[{
            "contestant": "VARCHAR", "is_winner": "BOOLEAN", "exact_reasons": "BOOLEAN", "seconds": "DOUBLE",
            "validation_log_loss": "DOUBLE", "roc_auc": "DOUBLE", "average_precision": "DOUBLE", "brier": "DOUBLE",
            "log_loss": "DOUBLE", "calibration_error_before": "DOUBLE", "calibration_error": "DOUBLE",
            "precision": "DOUBLE", "recall": "DOUBLE", "f1": "DOUBLE", "lift_at_10": "DOUBLE",
            "auc_over_recency": "DOUBLE", "auc_over_recency_low": "DOUBLE", "auc_over_recency_high": "DOUBLE",
            "auc_over_winner": "DOUBLE", "auc_over_winner_low": "DOUBLE", "auc_over_winner_high": "DOUBLE"
        }]')) as told
    from {{ source('models', 'churn_model') }}
    where contest is not null

),

final as (

    select
        as_of,
        tested_as_of,
        horizon_days,
        model_version,
        told.contestant,
        told.is_winner,
        told.exact_reasons,
        told.validation_log_loss,
        ---------- on the test snapshot, calibrated
        told.roc_auc,
        told.average_precision,
        told.brier,
        told.log_loss,
        told.calibration_error_before,
        told.calibration_error,
        told.precision,
        told.recall,
        told.f1,
        told.lift_at_10,
        ---------- differences with their 95% intervals
        told.auc_over_recency,
        told.auc_over_recency_low,
        told.auc_over_recency_high,
        told.auc_over_winner,
        told.auc_over_winner_low,
        told.auc_over_winner_high,
        told.seconds
    from contests

)

select * from final
