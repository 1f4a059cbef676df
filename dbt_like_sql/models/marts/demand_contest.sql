{{ config(event_time='as_of') }}

-- The evaluations of models.demand_model, one row per period, level and method.

with metrics as (

    select
        as_of,
        candidate as method,
        value,
        ---------- the path period/level/metric
        split_part(metric, '/', 1) as period,
        split_part(metric, '/', 2) as level,
        split_part(metric, '/', 3) as metric
    from {{ source('models', 'candidate_metrics') }}
    where model = 'models.demand_model'

),

methods as (

    select
        as_of,
        period,
        level,
        method,
        cast({{ metric('series') }} as bigint) as series,
        {{ metric('mase') }} as mase,
        {{ metric('rmsse') }} as rmsse,
        {{ metric('smape') }} as smape,
        {{ metric('wape') }} as wape,
        {{ metric('bias') }} as bias,
        {{ metric('coverage_80') }} as coverage_80,
        {{ metric('coverage_95') }} as coverage_95,
        {{ metric('interval_score_80') }} as interval_score_80,
        {{ metric('interval_score_95') }} as interval_score_95
    from metrics
    group by as_of, period, level, method

),

trainings as (

    select
        as_of,
        model_version
    from {{ source('models', 'demand_model') }}

),

final as (

    select
        methods.as_of,
        trainings.model_version,
        methods.period,
        methods.level,
        methods.method,
        methods.method = 'chosen' as is_chosen,
        methods.series,
        ---------- means over the series
        methods.mase,
        methods.rmsse,
        methods.smape,
        methods.wape,
        methods.bias,
        ---------- only for the selected method
        methods.coverage_80,
        methods.coverage_95,
        methods.interval_score_80,
        methods.interval_score_95
    from methods
    inner join trainings on methods.as_of = trainings.as_of

)

select * from final
