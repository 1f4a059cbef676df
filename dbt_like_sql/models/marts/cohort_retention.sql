-- Cohorts by the month of the first order, and their activity in each month since. A view, because a late
-- order can move a customer to an earlier cohort. Customers are persons as of the newest stored snapshot.

with persons as (

    select
        customer_id,
        person_id
    from {{ ref('customer_identities') }}
    where as_of = (select max(features.as_of) from {{ ref('customer_features') }} as features)

),

days as (

    select
        coalesce(persons.person_id, daily.customer_id) as customer_id,
        cast(date_trunc('month', daily.activity_date) as date) as month,
        daily.orders,
        daily.net_revenue
    from {{ ref('customer_daily') }} as daily
    left join persons on daily.customer_id = persons.customer_id

),

firsts as (

    select
        customer_id,
        min(month) as cohort_month
    from days
    where orders > 0
    group by customer_id

),

sizes as (

    select
        cohort_month,
        count(*) as customers
    from firsts
    group by cohort_month

),

-- Up to the last month with any event. A return before the first order, of a product bought before the history
-- starts, counts in month 0, so that the table adds up to the net revenue of all customers.
months as (

    select
        firsts.cohort_month,
        greatest(days.month, firsts.cohort_month) as month,
        count(distinct case when days.orders > 0 then days.customer_id end) as active,
        sum(days.orders) as orders,
        sum(days.net_revenue) as net_revenue
    from days
    inner join firsts on days.customer_id = firsts.customer_id
    group by firsts.cohort_month, greatest(days.month, firsts.cohort_month)

),

calendar as (

    select {{ date_series('min(month)', 'max(month)', 'month') }} as month
    from days

),

grid as (

    select
        sizes.cohort_month,
        calendar.month,
        sizes.customers
    from sizes
    inner join calendar on sizes.cohort_month <= calendar.month

),

final as (

    select
        grid.cohort_month,
        cast(
            12 * (extract(year from grid.month) - extract(year from grid.cohort_month))
            + extract(month from grid.month) - extract(month from grid.cohort_month) as integer
        ) as months_since,
        grid.month,
        ---------- counts
        grid.customers,
        coalesce(months.active, 0) as active,
        cast(coalesce(months.active, 0) as double) / grid.customers as retention,
        cast(coalesce(months.orders, 0) as bigint) as orders,
        ---------- money
        cast(coalesce(months.net_revenue, 0) as decimal(18, 4)) as net_revenue,
        cast(
            sum(coalesce(months.net_revenue, 0)) over (partition by grid.cohort_month order by grid.month)
            / grid.customers as decimal(18, 4)
        ) as cumulative_value
    from grid
    left join months on grid.cohort_month = months.cohort_month and grid.month = months.month

)

select * from final
