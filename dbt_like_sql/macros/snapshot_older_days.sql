{# The CTE older_<age> of core.customer_features: the sums of the days that are older than so many days at each
   snapshot. It reads the CTEs days, numbers and ends. #}
{% macro snapshot_older_days(age) -%}
older_{{ age }} as (

    select
        entity * 65536 + {{ number_series('n', 'end_n') }} as place,
        orders,
        net_revenue,
        visits
    from (
        select
            aged.entity,
            aged.n,
            {{ next_number('aged.n', 'ends.end_n') }} as end_n,
            cast({{ running('sum', 'aged.orders') }} as bigint) as orders,
            cast({{ running('sum', 'aged.net_revenue') }} as decimal(18, 4)) as net_revenue,
            cast({{ running('sum', 'aged.visits') }} as bigint) as visits
        from (
            select
                days.entity,
                numbers.n_{{ age }} as n,
                sum(days.orders) as orders,
                sum(days.net_revenue) as net_revenue,
                sum(days.visits) as visits
            from days
            inner join numbers on days.activity_date = numbers.activity_date
            group by days.entity, numbers.n_{{ age }}
        ) as aged
        cross join ends
        where aged.n < ends.end_n
        window so_far as (
            partition by aged.entity order by aged.n rows between unbounded preceding and current row
        )
    ) as totals

),
{%- endmacro %}
