{{ config(event_time='as_of') }}

-- Metrics of the lists of each method by customer segment.

with trainings as (

    select
        as_of,
        tested_as_of,
        horizon_days,
        model_version
    from {{ source('models', 'recommender_model') }}

),

-- A metric is a path: next_best/ndcg.
paths as (

    select
        as_of,
        group_name,
        candidate,
        split_part(metric, '/', 1) as list,
        split_part(metric, '/', 2) as metric,
        value
    from {{ source('models', 'group_metrics') }}
    where
        model = 'models.recommender_model'
        and dimension = 'segment'

),

segments as (

    select
        as_of,
        candidate,
        list,
        group_name as segment,
        {{ metric('customers') }}::bigint as customers,
        {{ metric('ndcg') }} as ndcg,
        {{ metric('recall') }} as recall,
        {{ metric('hit') }} as hit
    from paths
    group by as_of, candidate, list, group_name

),

final as (

    select
        trainings.as_of,
        trainings.tested_as_of,
        trainings.horizon_days,
        trainings.model_version,
        segments.candidate as contestant,
        segments.list,
        segments.segment,
        segments.customers,
        segments.ndcg,
        segments.recall,
        segments.hit
    from segments
    inner join trainings on segments.as_of = trainings.as_of

)

select * from final
