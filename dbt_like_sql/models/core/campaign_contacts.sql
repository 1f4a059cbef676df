{{ config(event_time='contacted_at') }}

-- A customer counts once for each campaign, from the first contact on and in its arm: later arms are not random, also
-- where the first contact has none. Of several contacts at one instant, the first touch_id is the first.
with contacts as (

    select
        *,
        row_number() over (partition by campaign_id, customer_id order by sent_at, touch_id) as place
    from {{ ref('stg_touches') }}
    where campaign_id is not null

),

touches as (

    select
        campaign_id,
        customer_id,
        min(sent_at) as contacted_at,
        max(case when place = 1 then arm end) as arm,
        max(case when place = 1 then channel end) as channel,
        sum(cost) as cost,
        count(opened_at) > 0 as is_opened,
        count(clicked_at) > 0 as is_clicked
    from contacts
    group by campaign_id, customer_id

),

plans as (

    select * from {{ source('marts', 'next_best_actions') }}

),

-- Whoever is kept out of everything is no control of a single play: other plays contact its treated customers too.
plays as (

    select
        play as campaign_id,
        customer_id,
        min(as_of) as contacted_at,
        arg_min(arm, as_of) as arm,
        arg_min(channel, as_of) as channel,
        sum(case when arm = 'treated' then expected_cost else 0 end) as cost
    from plans
    where play is not null and arm in ('treated', 'holdout')
    group by play, customer_id

),

everything as (

    select
        'all_actions' as campaign_id,
        customer_id,
        min(as_of) as contacted_at,
        case when bool_or(arm = 'global_holdout') then 'global_holdout' else 'treated' end as arm,
        cast(null as varchar) as channel,
        sum(case when arm = 'treated' then expected_cost else 0 end) as cost
    from plans
    group by customer_id

),

planned as (

    select * from plays
    union all
    select * from everything

),

final as (

    select
        'touches' as basis,
        campaign_id,
        customer_id,
        contacted_at,
        arm,
        channel,
        cast(cost as double) as cost,
        is_opened,
        is_clicked
    from touches
    union all
    select
        'plan',
        campaign_id,
        customer_id,
        contacted_at,
        arm,
        channel,
        cost,
        cast(null as boolean),
        cast(null as boolean)
    from planned

)

select * from final
