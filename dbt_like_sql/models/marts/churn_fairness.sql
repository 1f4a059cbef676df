{{ config(event_time='as_of') }}

-- Calibration and ranking of each churn model by customer group, on its test snapshot.

with trainings as (

    select * from {{ source('models', 'churn_model') }}
    where model_version is not null

),

metrics as (

    select
        as_of,
        dimension,
        group_name,
        {{ metric('customers') }}::bigint as customers,
        {{ metric('mean_probability') }} as mean_probability,
        {{ metric('base_rate') }} as base_rate,
        {{ metric('calibration_gap') }} as calibration_gap,
        {{ metric_low('calibration_gap') }} as calibration_gap_low,
        {{ metric_high('calibration_gap') }} as calibration_gap_high,
        {{ metric('roc_auc') }} as roc_auc,
        {{ metric_low('roc_auc') }} as roc_auc_low,
        {{ metric_high('roc_auc') }} as roc_auc_high
    from {{ source('models', 'group_metrics') }}
    where model = 'models.churn_model'
    group by as_of, dimension, group_name

),

final as (

    select
        trainings.as_of,
        trainings.tested_as_of,
        trainings.horizon_days,
        trainings.model_version,
        metrics.dimension as attribute,
        metrics.group_name as customer_group,
        metrics.customers,
        metrics.mean_probability,
        metrics.base_rate,
        metrics.calibration_gap,
        metrics.calibration_gap_low,
        metrics.calibration_gap_high,
        metrics.roc_auc,
        metrics.roc_auc_low,
        metrics.roc_auc_high
    from trainings
    inner join metrics on trainings.as_of = metrics.as_of

)

select * from final
