{{ config(event_time='as_of') }}

-- The contests of models.recommender_model, a row for each method, list and target.

with contests as (

    select
        as_of,
        tested_as_of,
        horizon_days,
        model_version,
        unnest(from_json(contest, '[{
            "contestant": "VARCHAR", "list": "VARCHAR", "target": "VARCHAR", "is_ranker": "BOOLEAN",
            "is_baseline": "BOOLEAN", "customers": "BIGINT", "ndcg": "DOUBLE", "ndcg_low": "DOUBLE",
            "ndcg_high": "DOUBLE", "recall": "DOUBLE", "recall_low": "DOUBLE", "recall_high": "DOUBLE",
            "hit": "DOUBLE", "hit_low": "DOUBLE", "hit_high": "DOUBLE", "coverage": "DOUBLE", "novelty": "DOUBLE",
            "ndcg_over_baseline": "DOUBLE", "ndcg_over_baseline_low": "DOUBLE", "ndcg_over_baseline_high": "DOUBLE",
            "seconds": "DOUBLE"
        }]')) as told
    from {{ source('models', 'recommender_model') }}
    where contest is not null

),

final as (

    select
        as_of,
        tested_as_of,
        horizon_days,
        model_version,
        told.contestant,
        told.list,
        told.target,
        told.is_ranker,
        told.is_baseline,
        told.customers,
        ---------- at ten places, with 95% intervals over customers
        told.ndcg,
        told.ndcg_low,
        told.ndcg_high,
        told.recall,
        told.recall_low,
        told.recall_high,
        told.hit,
        told.hit_low,
        told.hit_high,
        ---------- of all lists together
        told.coverage,
        told.novelty,
        ---------- against the list's dumb rule, on the same customers
        told.ndcg_over_baseline,
        told.ndcg_over_baseline_low,
        told.ndcg_over_baseline_high,
        told.seconds
    from contests

)

select * from final
