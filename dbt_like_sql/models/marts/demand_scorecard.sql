{{ config(event_time='as_of') }}

-- Metrics of every past demand forecast, by days and weeks, next to those of the model's test and of the naive
-- baseline, the mean of the last eight weeks. As in the test, weeks count up to the eighth, errors are scaled by those
-- of the seasonal naive forecast before as_of (MASE), and a metric is the mean over the series. The MASE is that of
-- regular and intermittent series.

with loaded as (

    select max(sales_date) + 1 as data_end from {{ ref('totals_daily') }}

),

steps as (

    select
        as_of,
        period,
        level,
        key,
        measure,
        date,
        case when period = 'week' then 7 else 1 end as days,
        mean,
        q025,
        q10,
        q90,
        q975,
        outcome in ('regular', 'intermittent') as is_evaluated,
        model_name,
        model_version,
        model_as_of
    from {{ source('marts', 'demand_forecasts') }}
    where period = 'day' or date < cast(as_of as date) + 56

),

runs as (

    select
        as_of,
        period,
        model_name,
        model_version,
        max(model_as_of) as model_as_of,
        date_diff('day', cast(as_of as date), max(date)) + cast(max(days) as bigint) as horizon_days,
        count(distinct concat_ws(chr(31), level, key, measure)) as series
    from steps
    group by as_of, period, model_name, model_version

),

mature as (

    select
        runs.as_of,
        runs.period,
        cast(runs.as_of as date) + cast(runs.horizon_days as integer) as ends_on
    from runs
    cross join loaded
    where cast(runs.as_of as date) + cast(runs.horizon_days as integer) <= loaded.data_end

),

forecast as (

    select
        steps.as_of,
        steps.level,
        steps.key,
        steps.measure,
        max(mature.ends_on) as ends_on
    from steps
    inner join mature on steps.as_of = mature.as_of and steps.period = mature.period
    group by steps.as_of, steps.level, steps.key, steps.measure

),

---------- the sales of each series; days without a sale have no row
named as (

    select
        forecast.as_of,
        forecast.level,
        forecast.key,
        forecast.measure,
        sold.day,
        sold.value
    from forecast
    inner join {{ ref('demand_series') }} as sold
        on
            forecast.level = sold.level
            and forecast.key = sold.key
            and forecast.measure = sold.measure
            and forecast.ends_on > sold.day
    where forecast.level = 'shop' or forecast.key <> 'other'

),

-- The rest of a level: the shop without the series of the level.
others as (

    select
        forecast.as_of,
        forecast.level,
        forecast.key,
        forecast.measure,
        named.day,
        case when named.level = 'shop' then named.value else -named.value end as value
    from forecast
    inner join named
        on
            forecast.as_of = named.as_of
            and forecast.measure = named.measure
            and named.level in ('shop', forecast.level)
    where forecast.level <> 'shop' and forecast.key = 'other'

),

sales as (

    select
        as_of,
        level,
        key,
        measure,
        day,
        cast(sum(value) as double) as value
    from (
        select * from named
        union all
        select * from others
    ) as parts
    group by as_of, level, key, measure, day
    having sum(value) <> 0

),

firsts as (

    select
        as_of,
        level,
        key,
        measure,
        min(day) as first_day
    from sales
    where day < cast(as_of as date)
    group by as_of, level, key, measure

),

-- Whole weeks are counted back from as_of: 0 is the last one before it. Before the first sale nothing is known.
past as (

    select
        sales.as_of,
        sales.level,
        sales.key,
        sales.measure,
        sales.day,
        sales.value,
        firsts.first_day,
        (date_diff('day', sales.day, cast(sales.as_of as date)) - 1) // 7 as week,
        date_diff('day', firsts.first_day, cast(sales.as_of as date)) // 7 as weeks
    from sales
    inner join firsts
        on
            sales.as_of = firsts.as_of
            and sales.level = firsts.level
            and sales.key = firsts.key
            and sales.measure = firsts.measure
    where sales.day < cast(sales.as_of as date)

),

past_weeks as (

    select
        as_of,
        level,
        key,
        measure,
        week,
        weeks,
        sum(value) as value
    from past
    where week < weeks
    group by as_of, level, key, measure, week, weeks

),

---------- the mean absolute error of the seasonal naive forecast: each value, minus that of a season before
day_changes as (

    select
        as_of,
        level,
        key,
        measure,
        sum(value) as change
    from (
        select
            as_of,
            level,
            key,
            measure,
            first_day,
            day,
            value
        from past
        union all
        select
            as_of,
            level,
            key,
            measure,
            first_day,
            day + 7 as day,
            -value as value
        from past
    ) as signed
    where day >= first_day + 7 and day < cast(as_of as date)
    group by as_of, level, key, measure, day

),

week_changes as (

    select
        as_of,
        level,
        key,
        measure,
        sum(value) as change
    from (
        select
            as_of,
            level,
            key,
            measure,
            weeks,
            week,
            value
        from past_weeks
        union all
        select
            as_of,
            level,
            key,
            measure,
            weeks,
            week - 1 as week,
            -value as value
        from past_weeks
    ) as signed
    where week >= 0 and week < weeks - 1
    group by as_of, level, key, measure, week

),

changes as (

    select
        'day' as period,
        *
    from day_changes
    union all
    select
        'week' as period,
        *
    from week_changes

),

scales as (

    select
        changes.period,
        changes.as_of,
        changes.level,
        changes.key,
        changes.measure,
        sum(abs(changes.change)) / max(
            case
                when changes.period = 'day' then date_diff('day', firsts.first_day, cast(firsts.as_of as date)) - 7
                else date_diff('day', firsts.first_day, cast(firsts.as_of as date)) // 7 - 1
            end
        ) as scale
    from changes
    inner join firsts
        on
            changes.as_of = firsts.as_of
            and changes.level = firsts.level
            and changes.key = firsts.key
            and changes.measure = firsts.measure
    group by changes.period, changes.as_of, changes.level, changes.key, changes.measure

),

---------- the baseline: the same weekday of the last eight weeks, or the last eight weeks, as far as they are known
baselines as (

    select
        'day' as period,
        as_of,
        level,
        key,
        measure,
        {{ day_of_week('day') }} as weekday,
        sum(value) / least(8, max(date_diff('day', first_day, day) // 7 + week) + 1) as value
    from past
    where week < 8
    group by as_of, level, key, measure, {{ day_of_week('day') }}
    union all
    select
        'week' as period,
        as_of,
        level,
        key,
        measure,
        0 as weekday,
        sum(value) / least(8, max(weeks)) as value
    from past_weeks
    where week < 8
    group by as_of, level, key, measure

),

---------- each step with its actual value
later_sales as (

    select * from sales
    where day >= cast(as_of as date)

),

actuals as (

    select
        steps.as_of,
        steps.period,
        steps.level,
        steps.key,
        steps.measure,
        steps.date,
        sum(later_sales.value) as value
    from steps
    inner join later_sales
        on
            steps.as_of = later_sales.as_of
            and steps.level = later_sales.level
            and steps.key = later_sales.key
            and steps.measure = later_sales.measure
            and steps.date <= later_sales.day
            and steps.date + cast(steps.days as integer) > later_sales.day
    group by steps.as_of, steps.period, steps.level, steps.key, steps.measure, steps.date

),

evaluated as (

    select
        steps.*,
        coalesce(baselines.value, 0) as baseline,
        coalesce(actuals.value, 0) as actual
    from steps
    inner join mature on steps.as_of = mature.as_of and steps.period = mature.period
    left join actuals
        on
            steps.as_of = actuals.as_of
            and steps.period = actuals.period
            and steps.level = actuals.level
            and steps.key = actuals.key
            and steps.measure = actuals.measure
            and steps.date = actuals.date
    left join baselines
        on
            steps.as_of = baselines.as_of
            and steps.period = baselines.period
            and steps.level = baselines.level
            and steps.key = baselines.key
            and steps.measure = baselines.measure
            and case when steps.period = 'week' then 0 else {{ day_of_week('steps.date') }} end = baselines.weekday

),

by_series as (

    select
        evaluated.as_of,
        evaluated.period,
        evaluated.model_name,
        evaluated.model_version,
        case when evaluated.is_evaluated then avg(abs(evaluated.mean - evaluated.actual)) / nullif(scales.scale, 0) end
            as mase,
        case
            when evaluated.is_evaluated
                then avg(abs(evaluated.baseline - evaluated.actual)) / nullif(scales.scale, 0)
        end as baseline_mase,
        avg(cast(evaluated.q10 <= evaluated.actual and evaluated.actual <= evaluated.q90 as integer)) as coverage_80,
        avg(cast(evaluated.q025 <= evaluated.actual and evaluated.actual <= evaluated.q975 as integer)) as coverage_95
    from evaluated
    left join scales
        on
            evaluated.as_of = scales.as_of
            and evaluated.period = scales.period
            and evaluated.level = scales.level
            and evaluated.key = scales.key
            and evaluated.measure = scales.measure
    group by
        evaluated.as_of, evaluated.period, evaluated.level, evaluated.key, evaluated.measure, evaluated.model_name,
        evaluated.model_version, evaluated.is_evaluated, scales.scale

),

graded as (

    select
        as_of,
        period,
        model_name,
        model_version,
        count(*) as labelled,
        avg(mase) as mase,
        avg(baseline_mase) as baseline_mase,
        avg(coverage_80) as coverage_80,
        avg(coverage_95) as coverage_95
    from by_series
    group by as_of, period, model_name, model_version

),

metrics as (

    select
        periods.period,
        names.name,
        periods.period || '_' || names.name as metric
    from (select unnest(['day', 'week']) as period) as periods
    cross join (select unnest(['mase', 'coverage_80', 'coverage_95']) as name) as names

),

final as (

    select
        runs.as_of,
        'demand' as model,
        runs.model_name,
        runs.model_version,
        runs.model_as_of,
        {{ weeks_between('runs.model_as_of', 'runs.as_of') }} as weeks_since_training,
        runs.horizon_days,
        cast(runs.as_of as date) + cast(runs.horizon_days as integer) as matures_on,
        runs.series as customers,
        coalesce(graded.labelled, 0) as labelled,
        metrics.metric,
        case metrics.name
            when 'mase' then graded.mase
            when 'coverage_80' then graded.coverage_80
            else graded.coverage_95
        end as value,
        -- The test in the table of trainings is that of the model, not of the naive baseline.
        case metrics.metric
            when 'day_mase' then models.day_mase
            when 'day_coverage_80' then models.day_coverage_80
            when 'day_coverage_95' then models.day_coverage_95
            when 'week_mase' then models.week_mase
            when 'week_coverage_80' then models.week_coverage_80
            when 'week_coverage_95' then models.week_coverage_95
        end as promised,
        case metrics.name when 'mase' then graded.baseline_mase end as baseline
    from runs
    inner join metrics on runs.period = metrics.period
    left join graded
        on
            runs.as_of = graded.as_of
            and runs.period = graded.period
            and runs.model_name = graded.model_name
            and runs.model_version = graded.model_version
    left join {{ source('models', 'demand_model') }} as models
        on
            runs.model_as_of = models.as_of
            and runs.model_version = models.model_version
            and runs.model_name = models.model_name

)

select * from final
