{{ config(event_time='as_of') }}

-- How many customers still have their persona at the first scored snapshot that is at least personas_grade_days (a var)
-- later. The baseline assigns the later personas at random, in their actual sizes.

with assigned as (

    select
        as_of,
        model_name,
        model_version,
        model_as_of,
        customer_id,
        persona_id
    from {{ source('marts', 'personas') }}

),

runs as (

    select
        as_of,
        model_name,
        model_version,
        max(model_as_of) as model_as_of,
        count(*) as customers
    from assigned
    group by as_of, model_name, model_version

),

laters as (

    select
        runs.as_of,
        min(snapshots.as_of) as later_as_of
    from runs
    inner join (select distinct as_of from {{ source('marts', 'personas') }}) as snapshots
        on cast(snapshots.as_of as date) >= cast(runs.as_of as date) + {{ var('personas_grade_days') }}
    group by runs.as_of

),

---------- customers by their persona then and later
cells as (

    select
        assigned.as_of,
        assigned.model_version,
        assigned.persona_id,
        later.persona_id as later_persona_id,
        count(*) as customers
    from assigned
    inner join laters on assigned.as_of = laters.as_of
    inner join {{ source('marts', 'personas') }} as later
        on laters.later_as_of = later.as_of and assigned.customer_id = later.customer_id
    group by assigned.as_of, assigned.model_version, assigned.persona_id, later.persona_id

),

agreed as (

    select
        as_of,
        model_version,
        sum(customers) as labelled,
        coalesce(sum(customers) filter (where persona_id = later_persona_id), 0) as kept,
        sum(customers * (customers - 1) / 2.0) as pairs
    from cells
    group by as_of, model_version

),

befores as (

    select
        as_of,
        model_version,
        persona_id,
        sum(customers) as customers
    from cells
    group by as_of, model_version, persona_id

),

afters as (

    select
        as_of,
        model_version,
        later_persona_id as persona_id,
        sum(customers) as customers
    from cells
    group by as_of, model_version, later_persona_id

),

before_pairs as (

    select
        as_of,
        model_version,
        sum(customers * (customers - 1) / 2.0) as pairs
    from befores
    group by as_of, model_version

),

after_pairs as (

    select
        as_of,
        model_version,
        sum(customers * (customers - 1) / 2.0) as pairs
    from afters
    group by as_of, model_version

),

---------- customers who would keep their persona if the later ones were assigned at random
by_chance as (

    select
        befores.as_of,
        befores.model_version,
        sum(cast(befores.customers as double) * afters.customers) as products
    from befores
    inner join afters
        on
            befores.as_of = afters.as_of
            and befores.model_version = afters.model_version
            and befores.persona_id = afters.persona_id
    group by befores.as_of, befores.model_version

),

graded as (

    select
        agreed.as_of,
        agreed.model_version,
        agreed.labelled,
        agreed.kept / agreed.labelled as share_kept,
        coalesce(by_chance.products, 0) / agreed.labelled / agreed.labelled as share_by_chance,
        agreed.pairs,
        (before_pairs.pairs + after_pairs.pairs) / 2 as most_pairs,
        before_pairs.pairs * after_pairs.pairs / nullif(agreed.labelled * (agreed.labelled - 1) / 2.0, 0)
            as expected_pairs
    from agreed
    inner join before_pairs
        on agreed.as_of = before_pairs.as_of and agreed.model_version = before_pairs.model_version
    inner join after_pairs
        on agreed.as_of = after_pairs.as_of and agreed.model_version = after_pairs.model_version
    left join by_chance
        on agreed.as_of = by_chance.as_of and agreed.model_version = by_chance.model_version

),

metrics as (

    select unnest(['share_kept', 'adjusted_rand_index']) as metric

),

final as (

    select
        runs.as_of,
        'personas' as model,
        runs.model_name,
        runs.model_version,
        runs.model_as_of,
        {{ weeks_between('runs.model_as_of', 'runs.as_of') }} as weeks_since_training,
        cast({{ var('personas_grade_days') }} as bigint) as horizon_days,
        cast(runs.as_of as date) + {{ var('personas_grade_days') }} as matures_on,
        runs.customers,
        cast(coalesce(graded.labelled, 0) as bigint) as labelled,
        metrics.metric,
        cast(case
            when metrics.metric = 'share_kept' then graded.share_kept
            -- Both groupings are trivial: one group each, or every customer alone.
            when graded.most_pairs = coalesce(graded.expected_pairs, 0) then 1
            else (graded.pairs - graded.expected_pairs) / (graded.most_pairs - graded.expected_pairs)
        end as double) as value,
        case when metrics.metric = 'adjusted_rand_index' then models.stability end as promised,
        cast(case
            when metrics.metric = 'share_kept' then graded.share_by_chance
            when graded.labelled > 0 then 0
        end as double) as baseline
    from runs
    cross join metrics
    left join graded on runs.as_of = graded.as_of and runs.model_version = graded.model_version
    left join {{ source('models', 'persona_model') }} as models
        on
            runs.model_as_of = models.as_of
            and runs.model_version = models.model_version
            and runs.model_name = models.model_name

)

select * from final
