{{ config(materialized='table') }}

-- Metrics of every past run of recommendations, by list, next to those of the model's test and of the naive baseline of
-- the list: buy again for next_best, popular products for discover. Definitions are those of the test: the first ten
-- places, customers with an order before as_of who bought in the horizon; for discover, who bought a product that was
-- new to them. Rows of cold_start are not graded.
--
-- A table, renewed by every scoring run: the lists of the baselines are costly. Only the newest 13 mature snapshots,
-- a quarter, have values, so that the cost does not grow with history.

with loaded as (

    select max(sales_date) + 1 as data_end from {{ ref('totals_daily') }}

),

places as (

    select
        as_of,
        list,
        model_name,
        model_version,
        model_as_of,
        horizon_days,
        customer_id,
        rank,
        product_id
    from {{ source('marts', 'recommendations') }}
    where model_name <> 'cold_start'

),

runs as (

    select
        as_of,
        list,
        model_name,
        model_version,
        horizon_days,
        max(model_as_of) as model_as_of,
        count(distinct customer_id) as customers
    from places
    group by as_of, list, model_name, model_version, horizon_days

),

mature as (

    select distinct runs.as_of
    from runs
    cross join loaded
    where
        runs.horizon_days = {{ var('recommend_horizon_days') }}
        and cast(runs.as_of as date) + {{ var('recommend_horizon_days') }} <= loaded.data_end
    order by runs.as_of desc
    limit 13

),

purchases as (

    select distinct
        customer_id,
        product_id,
        event_date
    from {{ ref('stg_order_lines') }}
    where line_type = 'purchase' and customer_id is not null and product_id is not null

),

---------- what each person had bought before as_of, by day
own_days as (

    select distinct
        mature.as_of,
        coalesce(persons.person_id, purchases.customer_id) as customer_id,
        purchases.product_id,
        date_diff('day', purchases.event_date, cast(mature.as_of as date)) as age
    from mature
    inner join purchases on cast(mature.as_of as date) > purchases.event_date
    left join {{ ref('customer_identities') }} as persons
        on mature.as_of = persons.as_of and purchases.customer_id = persons.customer_id

),

-- A purchase counts half after 240 days, as for the candidate buy_again.
own as (

    select
        as_of,
        customer_id,
        product_id,
        min(age) as age,
        cast(sum(power(2, -age / 240.0)) as real) as weight
    from own_days
    group by as_of, customer_id, product_id

),

buyers as (

    select distinct
        as_of,
        customer_id
    from own

),

---------- what they bought in the horizon
-- The ids whose orders count, see docs/decisions/identities.md.
ids as (

    select
        as_of,
        customer_id,
        customer_id as own_id
    from buyers
    union all
    select
        buyers.as_of,
        buyers.customer_id,
        others.customer_id as own_id
    from buyers
    inner join {{ later_ids(var('recommend_horizon_days')) }} as others
        on buyers.as_of = others.as_of and buyers.customer_id = others.person_id

),

bought as (

    select distinct
        ids.as_of,
        ids.customer_id,
        purchases.product_id
    from ids
    inner join purchases
        on
            ids.own_id = purchases.customer_id
            and cast(ids.as_of as date) <= purchases.event_date
            and cast(ids.as_of as date) + {{ var('recommend_horizon_days') }} > purchases.event_date

),

relevant as (

    select
        as_of,
        'next_best' as list,
        customer_id,
        product_id
    from bought
    union all
    select
        bought.as_of,
        'discover' as list,
        bought.customer_id,
        bought.product_id
    from bought
    left join own
        on
            bought.as_of = own.as_of
            and bought.customer_id = own.customer_id
            and bought.product_id = own.product_id
    where own.product_id is null

),

-- The ideal list has all relevant products first.
graded_customers as (

    select
        as_of,
        list,
        customer_id,
        count(*) as products,
        list_sum(list_transform(range(1, least(count(*), 10) + 1), lambda place: 1 / log2(place + 1))) as ideal
    from relevant
    group by as_of, list, customer_id

),

---------- the lists of the naive baselines
products as (

    select
        as_of,
        product_id,
        min(age) <= {{ var('recommend_active_days') }} as is_active
    from own
    group by as_of, product_id

),

newest as (

    select
        as_of,
        min(age) as age
    from own
    group by as_of

),

-- Purchase days of the last four weeks, which end with the last purchase.
popular as (

    select
        own_days.as_of,
        own_days.product_id,
        count(*) as purchase_days,
        max(count(*)) over (partition by own_days.as_of) as most,
        row_number() over (partition by own_days.as_of order by count(*) desc, own_days.product_id asc) as place
    from own_days
    inner join newest on own_days.as_of = newest.as_of
    where own_days.age <= 27 + greatest(newest.age, 1)
    group by own_days.as_of, own_days.product_id

),

active_popular as (

    select
        popular.*,
        row_number() over (partition by popular.as_of order by popular.place) as active_place
    from popular
    inner join products on popular.as_of = products.as_of and popular.product_id = products.product_id
    where products.is_active

),

shoppers as (

    select distinct
        as_of,
        customer_id
    from bought

),

histories as (

    select
        own.as_of,
        own.customer_id,
        count(*) as products
    from own
    inner join shoppers on own.as_of = shoppers.as_of and own.customer_id = shoppers.customer_id
    group by own.as_of, own.customer_id

),

-- Enough popular products that ten of them are new to the customer.
candidates as (

    select
        histories.as_of,
        histories.customer_id,
        active_popular.product_id
    from histories
    inner join active_popular
        on histories.as_of = active_popular.as_of and histories.products + 10 >= active_popular.active_place
    union
    select
        own.as_of,
        own.customer_id,
        own.product_id
    from own
    inner join histories on own.as_of = histories.as_of and own.customer_id = histories.customer_id
    inner join products on own.as_of = products.as_of and own.product_id = products.product_id
    where products.is_active

),

scored as (

    select
        candidates.as_of,
        candidates.customer_id,
        candidates.product_id,
        own.weight,
        coalesce(popular.purchase_days, 0) as purchase_days,
        -- Popularity counts as much as a purchase of ten half-lives ago.
        coalesce(own.weight, 0) + cast(coalesce(popular.purchase_days / popular.most * 0.001, 0) as real) as score
    from candidates
    left join own
        on
            candidates.as_of = own.as_of
            and candidates.customer_id = own.customer_id
            and candidates.product_id = own.product_id
    left join popular
        on candidates.as_of = popular.as_of and candidates.product_id = popular.product_id

),

baseline_places as (

    select
        as_of,
        'next_best' as list,
        customer_id,
        product_id,
        row_number() over (partition by as_of, customer_id order by score desc, product_id asc) as rank
    from scored
    where score > 0
    union all
    select
        as_of,
        'discover' as list,
        customer_id,
        product_id,
        row_number() over (partition by as_of, customer_id order by purchase_days desc, product_id asc) as rank
    from scored
    where weight is null and purchase_days > 0

),

all_places as (

    select
        as_of,
        list,
        customer_id,
        product_id,
        rank,
        'model' as made_by
    from places
    where rank <= 10
    union all
    select
        as_of,
        list,
        customer_id,
        product_id,
        rank,
        'baseline' as made_by
    from baseline_places
    where rank <= 10

),

hits as (

    select
        places_of.as_of,
        places_of.list,
        places_of.customer_id,
        places_of.made_by,
        count(*) as hits,
        sum(1 / log2(places_of.rank + 1)) as gain
    from all_places as places_of
    inner join relevant
        on
            places_of.as_of = relevant.as_of
            and places_of.list = relevant.list
            and places_of.customer_id = relevant.customer_id
            and places_of.product_id = relevant.product_id
    group by places_of.as_of, places_of.list, places_of.customer_id, places_of.made_by

),

-- A customer without a list, or with a short one, has misses.
graded as (

    select
        customers.as_of,
        customers.list,
        count(*) as labelled,
        avg(coalesce(by_model.gain, 0) / customers.ideal) as ndcg,
        avg(coalesce(by_model.hits, 0) / customers.products) as recall,
        avg(cast(by_model.hits is not null as integer)) as hit,
        avg(coalesce(by_baseline.gain, 0) / customers.ideal) as baseline_ndcg,
        avg(coalesce(by_baseline.hits, 0) / customers.products) as baseline_recall,
        avg(cast(by_baseline.hits is not null as integer)) as baseline_hit
    from graded_customers as customers
    left join hits as by_model
        on
            customers.as_of = by_model.as_of
            and customers.list = by_model.list
            and customers.customer_id = by_model.customer_id
            and by_model.made_by = 'model'
    left join hits as by_baseline
        on
            customers.as_of = by_baseline.as_of
            and customers.list = by_baseline.list
            and customers.customer_id = by_baseline.customer_id
            and by_baseline.made_by = 'baseline'
    group by customers.as_of, customers.list

),

metrics as (

    select
        lists.list,
        names.name,
        names.name || '_' || lists.list as metric
    from (select unnest(['next_best', 'discover']) as list) as lists
    cross join (select unnest(['ndcg', 'recall', 'hit']) as name) as names

),

final as (

    select
        runs.as_of,
        'recommendations' as model,
        runs.model_name,
        runs.model_version,
        runs.model_as_of,
        {{ weeks_between('runs.model_as_of', 'runs.as_of') }} as weeks_since_training,
        runs.horizon_days,
        cast(runs.as_of as date) + cast(runs.horizon_days as integer) as matures_on,
        runs.customers,
        coalesce(graded.labelled, 0) as labelled,
        metrics.metric,
        case metrics.name
            when 'ndcg' then graded.ndcg
            when 'recall' then graded.recall
            else graded.hit
        end as value,
        -- The test in the table of trainings is that of the model, not of the naive baseline.
        case metrics.metric
            when 'ndcg_next_best' then models.test_ndcg_next_best
            when 'recall_next_best' then models.test_recall_next_best
            when 'hit_next_best' then models.test_hit_next_best
            when 'ndcg_discover' then models.test_ndcg_discover
            when 'recall_discover' then models.test_recall_discover
            when 'hit_discover' then models.test_hit_discover
        end as promised,
        case metrics.name
            when 'ndcg' then graded.baseline_ndcg
            when 'recall' then graded.baseline_recall
            else graded.baseline_hit
        end as baseline
    from runs
    inner join metrics on runs.list = metrics.list
    left join graded
        on
            runs.as_of = graded.as_of
            and runs.list = graded.list
            and runs.horizon_days = {{ var('recommend_horizon_days') }}
    left join {{ source('models', 'recommender_model') }} as models
        on
            runs.model_as_of = models.as_of
            and runs.model_version = models.model_version
            and runs.model_name = models.model_name

)

select * from final
