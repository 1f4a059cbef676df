{{ config(event_time='as_of') }}

-- How good the lists of each method were for customers of each segment.

with segments as (

    select
        as_of,
        tested_as_of,
        horizon_days,
        model_version,
        unnest(from_json(by_segment, '[{
            "method": "VARCHAR", "list": "VARCHAR", "segment": "VARCHAR", "customers": "BIGINT", "ndcg": "DOUBLE",
            "recall": "DOUBLE", "hit": "DOUBLE"
        }]')) as told
    from {{ source('models', 'recommender_model') }}
    where by_segment is not null

),

final as (

    select
        as_of,
        tested_as_of,
        horizon_days,
        model_version,
        told.method as contestant,
        told.list,
        told.segment,
        told.customers,
        told.ndcg,
        told.recall,
        told.hit
    from segments

)

select * from final
