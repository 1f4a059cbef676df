-- Known customers who ordered in each of 26 weeks: new ones, returning ones, and those who became lost.
-- needs: core.customer_daily, core.customer_identities, marts.stage_transitions
-- columns: week DATE, new_customers BIGINT, returning_customers BIGINT, lost_customers BIGINT
with persons as (
    select customer_id, person_id
    from core.customer_identities
    where as_of = (select max(as_of) from core.customer_identities where as_of <= getvariable('as_of'))
),
days as (
    select coalesce(persons.person_id, daily.customer_id) as customer_id, daily.activity_date
    from core.customer_daily as daily
    left join persons on daily.customer_id = persons.customer_id
    where daily.orders > 0 and daily.activity_date < getvariable('as_of')
),
firsts as (select customer_id, min(activity_date) as first_day from days group by 1),
lost as (
    select as_of, sum(customers) as lost
    from marts.stage_transitions
    where state_kind = 'stage' and to_state = 'lost' and from_state not in ('lost', 'absent')
        and as_of = previous_as_of + interval 7 day
    group by 1
),
weeks as (
    select cast(getvariable('as_of') as date) - 7 * number::integer as week from range(1, 27) as numbers(number)
),
buyers as (
    select
        weeks.week,
        count(distinct days.customer_id) as buyers,
        count(distinct days.customer_id) filter (where firsts.first_day >= weeks.week) as new_customers
    from weeks
    inner join days on days.activity_date >= weeks.week and days.activity_date < weeks.week + 7
    inner join firsts on days.customer_id = firsts.customer_id
    group by 1
)
select
    weeks.week,
    coalesce(buyers.new_customers, 0) as new_customers,
    coalesce(buyers.buyers - buyers.new_customers, 0) as returning_customers,
    lost.lost as lost_customers
from weeks
left join buyers on weeks.week = buyers.week
left join lost on lost.as_of = weeks.week + 7
where weeks.week >= (select min(activity_date) from days) - 6
order by weeks.week
