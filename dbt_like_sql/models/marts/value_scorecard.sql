{{ config(event_time='as_of') }}

-- Metrics of every past run of customer value, next to those of the model's test and of the naive baseline: customers
-- go on at the rate of their last 365 days, unscaled, as in the test. The definitions are those of the test.

with scores as (

    select
        as_of,
        model_name,
        model_version,
        model_as_of,
        horizon_days,
        customer_id,
        expected_revenue,
        revenue_low,
        revenue_high
    from {{ source('marts', 'customer_value') }}

),

graded_customers as (

    select
        scores.as_of,
        scores.model_version,
        scores.expected_revenue,
        scores.revenue_low,
        scores.revenue_high,
        -- A newer customer's rate is per day of tenure, but of at least the horizon.
        greatest(cast(features.net_revenue_365d as double), 0) * scores.horizon_days
        / greatest(least(features.tenure_days, 365), least(scores.horizon_days, 365)) as past_rate,
        cast(labels.net_revenue as double) as actual
    from scores
    inner join {{ ref('value_labels') }} as labels
        on
            scores.as_of = labels.as_of
            and scores.customer_id = labels.customer_id
            and scores.horizon_days = labels.horizon_days
    inner join {{ ref('customer_features') }} as features
        on scores.as_of = features.as_of and scores.customer_id = features.customer_id

),

forecasts as (

    select
        as_of,
        model_version,
        'model' as forecast_by,
        expected_revenue as predicted,
        actual,
        cast(revenue_low <= actual and actual <= revenue_high as integer) as inside
    from graded_customers
    union all
    select
        as_of,
        model_version,
        'baseline' as forecast_by,
        past_rate as predicted,
        actual,
        cast(null as integer) as inside
    from graded_customers

),

placed as (

    select
        *,
        rank() over (partition by as_of, model_version, forecast_by order by predicted)
        + (count(*) over (partition by as_of, model_version, forecast_by, predicted) - 1) / 2.0 as predicted_rank,
        rank() over (partition by as_of, model_version, forecast_by order by actual)
        + (count(*) over (partition by as_of, model_version, forecast_by, actual) - 1) / 2.0 as actual_rank,
        rank() over (partition by as_of, model_version, forecast_by order by predicted desc) as place_from_top,
        count(*) over (partition by as_of, model_version, forecast_by, predicted) as ties,
        count(*) over (partition by as_of, model_version, forecast_by) as customers
    from forecasts

),

---------- customers above the cut-off of the top 10% of forecasts, and customers tied at the cut-off
tops as (

    select
        *,
        greatest(1, cast({{ round_half_even('0.1 * customers') }} as bigint)) as wanted
    from placed

),

graded as (

    select
        as_of,
        model_version,
        forecast_by,
        count(*) as labelled,
        avg(abs(predicted - actual)) as mae,
        case when sum(actual) > 0 then sum(predicted) / sum(actual) - 1 end as bias,
        -- No rank correlation where one side is constant.
        case
            when min(predicted_rank) = max(predicted_rank) or min(actual_rank) = max(actual_rank) then 0
            else corr(predicted_rank, actual_rank)
        end as spearman,
        case
            when sum(actual) > 0
                then (
                    coalesce(sum(actual) filter (where place_from_top + ties - 1 <= wanted), 0)
                    + coalesce(
                        avg(actual) filter (where place_from_top <= wanted and place_from_top + ties - 1 > wanted), 0
                    ) * (max(wanted) - count(*) filter (where place_from_top + ties - 1 <= wanted))
                ) / sum(actual)
        end as catch,
        avg(inside) as interval_coverage
    from tops
    group by as_of, model_version, forecast_by

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

metrics as (

    select unnest(['mae', 'bias', 'spearman', 'catch', 'interval_coverage']) as metric

),

final as (

    select
        runs.as_of,
        'value' as model,
        runs.model_name,
        runs.model_version,
        runs.model_as_of,
        {{ weeks_between('runs.model_as_of', 'runs.as_of') }} as weeks_since_training,
        runs.horizon_days,
        cast(runs.as_of as date) + cast(runs.horizon_days as integer) as matures_on,
        runs.customers,
        coalesce(by_model.labelled, 0) as labelled,
        metrics.metric,
        case metrics.metric
            when 'mae' then by_model.mae
            when 'bias' then by_model.bias
            when 'spearman' then by_model.spearman
            when 'catch' then by_model.catch
            else by_model.interval_coverage
        end as value,
        case metrics.metric
            when 'mae' then models.test_mae
            when 'bias' then models.test_bias
            when 'spearman' then models.test_spearman
            when 'catch' then models.test_catch
            else models.interval_coverage
        end as promised,
        case metrics.metric
            when 'mae' then by_rate.mae
            when 'bias' then by_rate.bias
            when 'spearman' then by_rate.spearman
            when 'catch' then by_rate.catch
        end as baseline
    from runs
    cross join metrics
    left join graded as by_model
        on
            runs.as_of = by_model.as_of
            and runs.model_version = by_model.model_version
            and by_model.forecast_by = 'model'
    left join graded as by_rate
        on
            runs.as_of = by_rate.as_of
            and runs.model_version = by_rate.model_version
            and by_rate.forecast_by = 'baseline'
    -- The test in the table of trainings is that of the model, not of the naive baseline.
    left join {{ source('models', 'value_model') }} as models
        on
            runs.model_as_of = models.as_of
            and runs.model_version = models.model_version
            and runs.model_name = models.model_name

)

select * from final
