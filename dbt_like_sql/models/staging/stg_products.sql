-- Products of the shop's catalogue, and products that occur only in events. A product without a name gets its
-- most frequent description, up to as_of (the last one of several) if it is set.

with catalogue as (

    select * from {{ ref('stg_catalogue') }}

),

descriptions as (

    select
        product_id,
        description,
        count(*) as times
    from {{ ref('stg_events') }}
    where
        product_id is not null
        {% if var('as_of') %}
            and event_at < {{ last_as_of() }}
        {% endif %}
    group by product_id, description

),

ranked as (

    select
        product_id,
        description,
        row_number() over (
            partition by product_id
            order by case when description is null then 1 else 0 end asc, times desc, description asc
        ) as place
    from descriptions

),

named as (

    select
        product_id,
        description
    from ranked
    where place = 1

),

final as (

    select
        ---------- ids
        coalesce(catalogue.product_id, named.product_id) as product_id,
        ---------- attributes
        coalesce(catalogue.name, named.description) as name,
        catalogue.category,
        ---------- amounts
        catalogue.list_price,
        catalogue.unit_cost
    from catalogue
    full outer join named on catalogue.product_id = named.product_id

)

select * from final
