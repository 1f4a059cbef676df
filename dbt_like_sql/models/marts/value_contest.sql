{{ config(event_time='as_of') }}

-- The contests of models.value_model, a row for each contestant.

with contests as (

    select
        as_of,
        tested_as_of,
        horizon_days,
        model_version,
        unnest(from_json(contest, '[{
            "contestant": "VARCHAR", "is_winner": "BOOLEAN", "is_baseline": "BOOLEAN", "seconds": "DOUBLE",
            "validation_score": "DOUBLE", "bias_before": "DOUBLE", "bias": "DOUBLE", "mae": "DOUBLE", "rmse": "DOUBLE",
            "spearman": "DOUBLE", "gini": "DOUBLE", "catch": "DOUBLE", "best_catch": "DOUBLE",
            "mae_over_past_year": "DOUBLE", "mae_over_past_year_low": "DOUBLE", "mae_over_past_year_high": "DOUBLE",
            "catch_over_past_year": "DOUBLE", "catch_over_past_year_low": "DOUBLE",
            "catch_over_past_year_high": "DOUBLE"
        }]')) as told
    from {{ source('models', 'value_model') }}
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
        told.is_baseline,
        told.validation_score,
        ---------- on the test snapshot
        told.bias_before,
        told.bias,
        told.mae,
        told.rmse,
        told.spearman,
        told.gini,
        told.catch,
        told.best_catch,
        ---------- differences with their 95% intervals
        told.mae_over_past_year,
        told.mae_over_past_year_low,
        told.mae_over_past_year_high,
        told.catch_over_past_year,
        told.catch_over_past_year_low,
        told.catch_over_past_year_high,
        told.seconds
    from contests

)

select * from final
