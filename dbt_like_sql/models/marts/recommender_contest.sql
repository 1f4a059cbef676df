{{ config(event_time='as_of') }}

-- The evaluations of models.recommender_model, one row per method, list and target.

with trainings as (

    select
        as_of,
        tested_as_of,
        horizon_days,
        model_version
    from {{ source('models', 'recommender_model') }}

),

-- A metric is a path: window/next_best/ndcg.
paths as (

    select
        as_of,
        candidate,
        split_part(metric, '/', 1) as target,
        split_part(metric, '/', 2) as list,
        split_part(metric, '/', 3) as metric,
        value,
        low,
        high
    from {{ source('models', 'candidate_metrics') }}
    where model = 'models.recommender_model'

),

candidates as (

    select
        as_of,
        candidate,
        list,
        target,
        {{ metric('is_ranker') }} = 1 as is_ranker,
        {{ metric('is_baseline') }} = 1 as is_baseline,
        {{ metric('customers') }}::bigint as customers,
        ---------- metrics at ten places, with 95% intervals over customers
        {{ metric('ndcg') }} as ndcg,
        {{ metric_low('ndcg') }} as ndcg_low,
        {{ metric_high('ndcg') }} as ndcg_high,
        {{ metric('recall') }} as recall,
        {{ metric_low('recall') }} as recall_low,
        {{ metric_high('recall') }} as recall_high,
        {{ metric('hit') }} as hit,
        {{ metric_low('hit') }} as hit_low,
        {{ metric_high('hit') }} as hit_high,
        ---------- over all lists
        {{ metric('coverage') }} as coverage,
        {{ metric('novelty') }} as novelty,
        ---------- against the list's naive baseline, on the same customers
        {{ metric('ndcg_over_baseline') }} as ndcg_over_baseline,
        {{ metric_low('ndcg_over_baseline') }} as ndcg_over_baseline_low,
        {{ metric_high('ndcg_over_baseline') }} as ndcg_over_baseline_high,
        {{ metric('seconds') }} as seconds
    from paths
    group by as_of, candidate, list, target

),

final as (

    select
        trainings.as_of,
        trainings.tested_as_of,
        trainings.horizon_days,
        trainings.model_version,
        candidates.candidate as contestant,
        candidates.list,
        candidates.target,
        candidates.is_ranker,
        candidates.is_baseline,
        candidates.customers,
        candidates.ndcg,
        candidates.ndcg_low,
        candidates.ndcg_high,
        candidates.recall,
        candidates.recall_low,
        candidates.recall_high,
        candidates.hit,
        candidates.hit_low,
        candidates.hit_high,
        candidates.coverage,
        candidates.novelty,
        candidates.ndcg_over_baseline,
        candidates.ndcg_over_baseline_low,
        candidates.ndcg_over_baseline_high,
        candidates.seconds
    from candidates
    inner join trainings on candidates.as_of = trainings.as_of

)

select * from final
