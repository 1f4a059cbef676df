{{ config(event_time='as_of') }}

-- Metrics of every past score run, next to the metrics of the model's test, and to those of the naive baseline on the
-- same customers. A view, so that a run is evaluated when the last day of its horizon is loaded, without rebuilding
-- anything.

with scores as (

    select
        as_of,
        model_name,
        model_version,
        model_as_of,
        horizon_days,
        customer_id,
        churn_probability
    from {{ source('marts', 'churn_scores') }}

),

graded_customers as (

    select
        scores.as_of,
        scores.model_version,
        scores.churn_probability,
        features.recency_days,
        cast(labels.churned as double) as actual
    from scores
    inner join {{ ref('churn_labels') }} as labels
        on
            scores.as_of = labels.as_of
            and scores.customer_id = labels.customer_id
            and scores.horizon_days = labels.horizon_days
    inner join {{ ref('customer_features') }} as features
        on scores.as_of = features.as_of and scores.customer_id = features.customer_id

),

-- The baseline ranks customers by the days since their last order; these are no probabilities.
ranked as (

    select
        as_of,
        model_version,
        'model' as ranked_by,
        churn_probability as predicted,
        actual
    from graded_customers
    union all
    select
        as_of,
        model_version,
        'baseline' as ranked_by,
        cast(recency_days as double) as predicted,
        actual
    from graded_customers

),

labelled as (

    select
        as_of,
        model_version,
        ranked_by,
        predicted,
        actual,
        rank() over (partition by as_of, model_version, ranked_by order by predicted) as place,
        rank() over (partition by as_of, model_version, ranked_by order by predicted desc) as place_from_top,
        count(*) over (partition by as_of, model_version, ranked_by, predicted) as ties,
        count(*) over (partition by as_of, model_version, ranked_by) as customers
    from ranked

),

---------- expected calibration error over ten bins with equal numbers of customers; equal scores share a bin
bins as (

    select
        as_of,
        model_version,
        (place - 1) * 10 // customers as bin,
        abs(sum(predicted) - sum(actual)) as gap
    from labelled
    where ranked_by = 'model'
    group by as_of, model_version, (place - 1) * 10 // customers

),

calibration as (

    select
        as_of,
        model_version,
        sum(gap) as gaps
    from bins
    group by as_of, model_version

),

---------- customers above the cut-off of the top 10% of scores, and customers tied at the cut-off
tops as (

    select
        *,
        greatest(1, cast({{ round_half_even('0.1 * customers') }} as bigint)) as wanted
    from labelled

),

ranks as (

    select
        as_of,
        model_version,
        ranked_by,
        -- Mann-Whitney U from mean ranks.
        (sum(case when actual = 1 then place + (ties - 1) / 2.0 end) - sum(actual) * (sum(actual) + 1) / 2)
        / nullif(sum(actual) * (count(*) - sum(actual)), 0) as roc_auc,
        (
            coalesce(sum(actual) filter (where place_from_top + ties - 1 <= wanted), 0)
            + coalesce(
                avg(actual) filter (where place_from_top <= wanted and place_from_top + ties - 1 > wanted), 0
            ) * (max(wanted) - count(*) filter (where place_from_top + ties - 1 <= wanted))
        ) / max(wanted) / nullif(avg(actual), 0) as lift_at_10
    from tops
    group by as_of, model_version, ranked_by

),

graded as (

    select
        as_of,
        model_version,
        count(*) as labelled,
        avg(actual) as base_rate,
        avg(churn_probability) as mean_probability,
        avg((churn_probability - actual) * (churn_probability - actual)) as brier,
        -avg(
            ln(
                greatest(
                    case when actual = 1 then churn_probability else 1 - churn_probability end, 2.220446049250313e-16
                )
            )
        ) as log_loss
    from graded_customers
    group by as_of, model_version

),

runs as (

    select
        as_of,
        model_name,
        model_version,
        horizon_days,
        max(model_as_of) as model_as_of,
        count(*) as customers
    from scores
    group by as_of, model_name, model_version, horizon_days

),

found as (

    select
        runs.*,
        graded.labelled,
        by_model.roc_auc,
        by_recency.roc_auc as recency_roc_auc,
        graded.brier,
        graded.log_loss,
        calibration.gaps / graded.labelled as calibration_error,
        by_model.lift_at_10,
        by_recency.lift_at_10 as recency_lift_at_10,
        graded.base_rate,
        graded.mean_probability
    from runs
    left join graded on runs.as_of = graded.as_of and runs.model_version = graded.model_version
    left join calibration on runs.as_of = calibration.as_of and runs.model_version = calibration.model_version
    left join ranks as by_model
        on
            runs.as_of = by_model.as_of
            and runs.model_version = by_model.model_version
            and by_model.ranked_by = 'model'
    left join ranks as by_recency
        on
            runs.as_of = by_recency.as_of
            and runs.model_version = by_recency.model_version
            and by_recency.ranked_by = 'baseline'

),

metrics as (

    select unnest([
        'roc_auc', 'brier', 'log_loss', 'calibration_error', 'lift_at_10', 'base_rate', 'mean_probability'
    ]) as metric

),

final as (

    select
        found.as_of,
        'churn' as model,
        found.model_name,
        found.model_version,
        found.model_as_of,
        {{ weeks_between('found.model_as_of', 'found.as_of') }} as weeks_since_training,
        found.horizon_days,
        cast(found.as_of as date) + cast(found.horizon_days as integer) as matures_on,
        found.customers,
        coalesce(found.labelled, 0) as labelled,
        metrics.metric,
        case metrics.metric
            when 'roc_auc' then found.roc_auc
            when 'brier' then found.brier
            when 'log_loss' then found.log_loss
            when 'calibration_error' then found.calibration_error
            when 'lift_at_10' then found.lift_at_10
            when 'base_rate' then found.base_rate
            else found.mean_probability
        end as value,
        -- The test in the table of trainings is that of the model, not of the naive baseline.
        case metrics.metric
            when 'roc_auc' then models.test_roc_auc
            when 'brier' then models.test_brier
            when 'log_loss' then models.test_log_loss
            when 'calibration_error' then models.test_calibration_error
            when 'lift_at_10' then models.test_lift_at_10
            when 'base_rate' then models.test_base_rate
            else models.test_mean_probability
        end as promised,
        case metrics.metric
            when 'roc_auc' then found.recency_roc_auc
            when 'lift_at_10' then found.recency_lift_at_10
        end as baseline
    from found
    cross join metrics
    left join {{ source('models', 'churn_model') }} as models
        on
            found.model_as_of = models.as_of
            and found.model_version = models.model_version
            and found.model_name = models.model_name

)

select * from final
