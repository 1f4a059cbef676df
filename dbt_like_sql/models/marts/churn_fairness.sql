{{ config(event_time='as_of') }}

-- Whether groups of customers are served alike by each churn model, on its test snapshot.

with groups as (

    select
        as_of,
        tested_as_of,
        horizon_days,
        model_version,
        unnest(from_json(fairness, '[{
            "attribute": "VARCHAR", "group": "VARCHAR", "customers": "BIGINT", "mean_probability": "DOUBLE",
            "base_rate": "DOUBLE", "calibration_gap": "DOUBLE", "calibration_gap_low": "DOUBLE",
            "calibration_gap_high": "DOUBLE", "roc_auc": "DOUBLE", "roc_auc_low": "DOUBLE", "roc_auc_high": "DOUBLE"
        }]')) as told
    from {{ source('models', 'churn_model') }}
    where fairness is not null

),

final as (

    select
        as_of,
        tested_as_of,
        horizon_days,
        model_version,
        told.attribute,
        told."group" as customer_group,
        told.customers,
        told.mean_probability,
        told.base_rate,
        told.calibration_gap,
        told.calibration_gap_low,
        told.calibration_gap_high,
        told.roc_auc,
        told.roc_auc_low,
        told.roc_auc_high
    from groups

)

select * from final
