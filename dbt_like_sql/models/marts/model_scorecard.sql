{{ config(event_time='as_of') }}

-- Metrics of every past score run, next to the metrics of the model's test. A view, so that a run is evaluated
-- when the last day of its horizon is loaded, without rebuilding anything.

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

labelled as (

    select
        scores.as_of,
        scores.model_version,
        scores.churn_probability as predicted,
        cast(labels.churned as double) as actual,
        rank() over (partition by scores.as_of, scores.model_version order by scores.churn_probability) as place,
        rank() over (
            partition by scores.as_of, scores.model_version order by scores.churn_probability desc
        ) as place_from_top,
        count(*) over (partition by scores.as_of, scores.model_version, scores.churn_probability) as ties,
        count(*) over (partition by scores.as_of, scores.model_version) as customers
    from scores
    inner join {{ ref('churn_labels') }} as labels
        on
            scores.as_of = labels.as_of
            and scores.customer_id = labels.customer_id
            and scores.horizon_days = labels.horizon_days

),

---------- expected calibration error over ten bins with equal numbers of customers; equal scores share a bin
bins as (

    select
        as_of,
        model_version,
        (place - 1) * 10 // customers as bin,
        abs(sum(predicted) - sum(actual)) as gap
    from labelled
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

lifts as (

    select
        as_of,
        model_version,
        max(wanted) as wanted,
        coalesce(sum(actual) filter (where place_from_top + ties - 1 <= wanted), 0) as hits,
        count(*) filter (where place_from_top + ties - 1 <= wanted) as above,
        avg(actual) filter (where place_from_top <= wanted and place_from_top + ties - 1 > wanted) as rate_of_tied
    from tops
    group by as_of, model_version

),

graded as (

    select
        as_of,
        model_version,
        count(*) as labelled,
        avg(actual) as base_rate,
        avg(predicted) as mean_probability,
        avg((predicted - actual) * (predicted - actual)) as brier,
        -avg(
            ln(greatest(case when actual = 1 then predicted else 1 - predicted end, 2.220446049250313e-16))
        ) as log_loss,
        -- Mann-Whitney U from mean ranks.
        (sum(case when actual = 1 then place + (ties - 1) / 2.0 end) - sum(actual) * (sum(actual) + 1) / 2)
        / nullif(sum(actual) * (count(*) - sum(actual)), 0) as roc_auc
    from labelled
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
        graded.roc_auc,
        graded.brier,
        graded.log_loss,
        calibration.gaps / graded.labelled as calibration_error,
        (lifts.hits + coalesce(lifts.rate_of_tied, 0) * (lifts.wanted - lifts.above))
        / lifts.wanted / nullif(graded.base_rate, 0) as lift_at_10,
        graded.base_rate,
        graded.mean_probability
    from runs
    left join graded on runs.as_of = graded.as_of and runs.model_version = graded.model_version
    left join calibration on runs.as_of = calibration.as_of and runs.model_version = calibration.model_version
    left join lifts on runs.as_of = lifts.as_of and runs.model_version = lifts.model_version

),

metrics as (

    select unnest([
        'roc_auc', 'brier', 'log_loss', 'calibration_error', 'lift_at_10', 'base_rate', 'mean_probability'
    ]) as metric

),

final as (

    select
        found.as_of,
        found.model_name,
        found.model_version,
        found.model_as_of,
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
        end as promised
    from found
    cross join metrics
    left join {{ source('models', 'churn_model') }} as models
        on
            found.model_as_of = models.as_of
            and found.model_version = models.model_version
            and found.model_name = models.model_name

)

select * from final
