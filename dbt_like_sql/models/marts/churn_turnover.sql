{{ config(event_time='as_of') }}

-- How many customers left the top decile of churn scores since the previous scored snapshot, and why. A view, so that
-- the result does not depend on the order in which snapshots are scored.

with ranked as (

    select
        as_of,
        customer_id,
        row_number() over (partition by as_of order by churn_probability desc, customer_id asc) as place,
        count(*) over (partition by as_of) as customers,
        model_name || ' ' || model_version as model
    from {{ source('marts', 'churn_scores') }}

),

stored as (

    select
        as_of,
        max(customers) as customers,
        max(model) as model
    from ranked
    group by as_of

),

snapshots as (

    select
        as_of,
        lag(as_of) over (order by as_of) as previous_as_of,
        customers,
        -- A tenth of the customers at the previous snapshot, at least one.
        lag(greatest(customers // 10, 1)) over (order by as_of) as top_decile,
        model <> lag(model) over (order by as_of) as is_other_model
    from stored

),

-- The previous top decile, assigned to the next snapshot.
before as (

    select
        snapshots.as_of,
        ranked.customer_id
    from snapshots
    inner join ranked on snapshots.previous_as_of = ranked.as_of
    where ranked.place <= snapshots.top_decile

),

-- Customers with any event between two snapshots; the ids of a person count for the person.
active as (

    select distinct
        snapshots.as_of,
        coalesce(identities.person_id, daily.customer_id) as customer_id
    from {{ ref('customer_daily') }} as daily
    inner join snapshots
        on daily.activity_date < snapshots.as_of and daily.activity_date >= snapshots.previous_as_of
    left join {{ ref('customer_identities') }} as identities
        on snapshots.as_of = identities.as_of and daily.customer_id = identities.customer_id

),

leavers as (

    select
        before.as_of,
        case
            when ranked.customer_id is null then 'unscored'
            when active.customer_id is not null then 'with_event'
            else 'without_event'
        end as kind
    from before
    left join ranked on before.as_of = ranked.as_of and before.customer_id = ranked.customer_id
    left join active on before.as_of = active.as_of and before.customer_id = active.customer_id
    where ranked.customer_id is null or ranked.place > greatest(ranked.customers // 10, 1)

),

counted as (

    select
        as_of,
        count(kind) as left_decile,
        count(*) filter (where kind = 'unscored') as left_unscored,
        count(*) filter (where kind = 'with_event') as left_with_event,
        count(*) filter (where kind = 'without_event') as left_without_event
    from leavers
    group by as_of

),

final as (

    select
        snapshots.as_of,
        snapshots.previous_as_of,
        snapshots.customers,
        snapshots.top_decile,
        coalesce(counted.left_decile, 0) as left_decile,
        coalesce(counted.left_unscored, 0) as left_unscored,
        coalesce(counted.left_with_event, 0) as left_with_event,
        coalesce(counted.left_without_event, 0) as left_without_event,
        coalesce(counted.left_without_event, 0) / cast(snapshots.top_decile as double) as turnover,
        coalesce(counted.left_decile, 0) / cast(snapshots.top_decile as double) as total_turnover,
        snapshots.is_other_model
    from snapshots
    left join counted on snapshots.as_of = counted.as_of
    where snapshots.previous_as_of is not null

)

select * from final
