{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='as_of',
) }}

-- Persons: connected components of customers and the ids that they share at one as_of. Customers are numbered by the
-- day on which they were first seen, and a person is the lowest number of a component. Each round, a customer takes the
-- lowest label of all who share an id with them, tells it to the customer whose label they had, and takes over the
-- label of their label (FastSV: Zhang, Azad, Hu 2020), so that a chain of n customers needs about log2(n) rounds.

with recursive links as (

    select
        as_of,
        kind,
        other_id,
        same,
        customer_id,
        known_since,
        first_seen_date
    from {{ ref('shared_identifiers') }}
    where {{ is_at_as_of('as_of') }} and blocked_by is null

),

numbers as (

    select
        as_of,
        customer_id,
        min(first_seen_date) as first_seen_date,
        row_number() over (order by as_of asc, min(first_seen_date) asc, customer_id asc) as node
    from links
    group by as_of, customer_id

),

edges as (

    select
        numbers.node,
        dense_rank() over (order by links.as_of, links.kind, links.other_id, links.same) as link
    from links
    inner join numbers on links.as_of = numbers.as_of and links.customer_id = numbers.customer_id

),

labels as (

    select
        node,
        node as label,
        0 as round,
        true as is_open
    from numbers
    union all
    select
        labels.node,
        jumped.label,
        labels.round + 1 as round,
        max(case when jumped.label <> labels.label then 1 else 0 end) over () = 1 as is_open
    from labels
    inner join (
        with lowest as (

            select
                edges.link,
                min(known.label) as label
            from edges
            inner join labels as known on edges.node = known.node
            group by edges.link

        ),

        taken as (

            select
                edges.node,
                min(lowest.label) as label
            from edges
            inner join lowest on edges.link = lowest.link
            group by edges.node

        ),

        proposed as (

            select
                node,
                min(label) as label
            from (
                select
                    node,
                    label
                from taken
                union all
                select
                    earlier.label as node,
                    taken.label
                from taken
                inner join labels as earlier on taken.node = earlier.node
            ) as offers
            group by node

        )

        select
            proposed.node,
            above.label
        from proposed
        inner join proposed as above on proposed.label = above.node
    ) as jumped on labels.node = jumped.node
    where labels.is_open

),

components as (

    select
        node,
        min(label) as label
    from labels
    group by node

),

-- When each customer shared each id with another one: from the second customer on, when they got it themselves; the
-- first, when the second got it.
shared as (

    select
        as_of,
        customer_id,
        kind,
        other_id,
        row_number() over holders as place,
        known_since,
        lead(known_since) over holders as next_known_since,
        lead(customer_id) over holders as next_customer_id,
        first_value(customer_id) over holders as first_customer_id
    from links
    window holders as (partition by as_of, kind, other_id, same order by known_since asc, customer_id asc)

),

joined as (

    select
        as_of,
        customer_id,
        kind,
        other_id,
        case when place = 1 then next_known_since else known_since end as known_since,
        case when place = 1 then next_customer_id else first_customer_id end as through_customer_id
    from shared

),

evidence as (

    select
        *,
        row_number() over (
            partition by as_of, customer_id
            order by known_since asc, kind asc, other_id asc, through_customer_id asc
        ) as place
    from joined

),

final as (

    select
        numbers.as_of,
        numbers.customer_id,
        persons.customer_id as person_id,
        numbers.first_seen_date,
        evidence.kind,
        evidence.other_id,
        evidence.through_customer_id,
        evidence.known_since
    from components
    inner join numbers on components.node = numbers.node
    inner join numbers as persons on components.label = persons.node
    inner join evidence on numbers.as_of = evidence.as_of and numbers.customer_id = evidence.customer_id
    where evidence.place = 1

)

select * from final
