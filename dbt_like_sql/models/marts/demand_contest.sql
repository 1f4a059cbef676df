{{ config(event_time='as_of') }}

-- The contests of models.demand_model, a row for each period, level and method.

with contests as (

    select
        as_of,
        model_version,
        unnest(from_json(contest, '[{
            "period": "VARCHAR", "level": "VARCHAR", "method": "VARCHAR", "series": "BIGINT", "mase": "DOUBLE",
            "rmsse": "DOUBLE", "smape": "DOUBLE", "wape": "DOUBLE", "bias": "DOUBLE", "coverage_80": "DOUBLE",
            "coverage_95": "DOUBLE", "interval_score_80": "DOUBLE", "interval_score_95": "DOUBLE"
        }]')) as told
    from {{ source('models', 'demand_model') }}
    where contest is not null

),

final as (

    select
        as_of,
        model_version,
        told.period,
        told.level,
        told.method,
        told.method = 'chosen' as is_chosen,
        told.series,
        ---------- means over the series
        told.mase,
        told.rmsse,
        told.smape,
        told.wape,
        told.bias,
        ---------- of the chosen only
        told.coverage_80,
        told.coverage_95,
        told.interval_score_80,
        told.interval_score_95
    from contests

)

select * from final
