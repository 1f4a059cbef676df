"""What an expert writes by hand: the first load of Online Retail II as plain set-based SQL in bare DuckDB.

Belongs here: the script, which yields customer_daily, product_daily, totals_daily and all snapshots of
customer_features and rfm_scores, without ids, versions, rejects, ledger and transactions. Does not: running it beside
ours (`expert_side`).

String functions run once for each distinct value; joins and groups are on integers. The state of a customer is a
cumulative sum over their days, and each state is expanded to the weeks that it holds by arithmetic. A window of n days
is the difference of two cumulative sums.
"""

import sys
import time
from pathlib import Path

import duckdb

FIRST_DAY = "date '2009-12-01'"
WEEKS = 106  # as_of number w is the Monday after FIRST_DAY + 6 + 7w days
_MONEY = "decimal(18, 4)"
_LAGS = {30: "orders, net", 90: "orders, net", 180: "orders, net", 365: "orders, net", 275: "orders"}
_COLUMNS = (
    "{'Invoice': 'VARCHAR', 'StockCode': 'VARCHAR', 'Description': 'VARCHAR', 'Quantity': 'INTEGER', "
    "'InvoiceDate': 'TIMESTAMP', 'Price': 'DECIMAL(18,4)', 'Customer ID': 'VARCHAR', 'Country': 'VARCHAR'}"
)
# 1 purchase, 2 return, 3 gift, 4 charge, 5 refund of a charge.
_KIND = """case when is_cancelled and is_product then 2 when is_cancelled then 5 when not is_product then 4
    when "Price" = 0 then 3 else 1 end"""
_LINES = """delivered
    join codes on "StockCode" = codes.raw
    join invoices on "Invoice" = invoices.raw
    left join customers on delivered."Customer ID" = customers.raw
    join countries on delivered."Country" = countries.raw
    where not ("Quantity" < 0 and not is_cancelled) and not ("Quantity" > 0 and is_cancelled) and not "Price" < 0"""


def _sum_of(kind: int, column: str = "amount", cast: str = _MONEY) -> str:
    return f"cast(sum(case when kind = {kind} then {column} else 0 end) as {cast})"


def _total(column: str) -> str:
    return f"cast(sum({column}) as {_MONEY})"


def _lines(real: str, seeds: str) -> list[str]:
    """Return the statements that read the file and number its distinct values."""
    return [
        f"create temp table delivered as select distinct * from read_csv('{real}', header = true, "
        f"auto_detect = false, delim = ',', quote = '\"', columns = {_COLUMNS})",
        f"""create temp table codes as
        select raw, code, cast(dense_rank() over (order by code) as integer) as pid,
            regexp_matches(code, (select string_agg(pattern, '|')
                from read_csv('{seeds}/online_retail_ii_product_codes.csv'))) as is_product
        from (select "StockCode" as raw, upper(trim("StockCode")) as code
            from (select distinct "StockCode" from delivered))""",
        """create temp table invoices as
        select raw, order_id, starts_with(upper(order_id), 'C') as is_cancelled,
            cast(dense_rank() over (order by order_id) as integer) as oid
        from (select "Invoice" as raw, trim("Invoice") as order_id
            from (select distinct "Invoice" from delivered))""",
        """create temp table customers as
        select raw, customer_id, cast(dense_rank() over (order by customer_id) as integer) as cid
        from (select "Customer ID" as raw,
                nullif(regexp_replace(trim("Customer ID"), '\\.0+$', ''), '') as customer_id
            from (select distinct "Customer ID" from delivered where "Customer ID" is not null))""",
        """create temp table countries as
        select raw, country, cast(dense_rank() over (order by country) as utinyint) as country_no
        from (select "Country" as raw, nullif(trim("Country"), '') as country
            from (select distinct "Country" from delivered))""",
        f"""create temp table lines as
        select cast("InvoiceDate" as date) - {FIRST_DAY} as day, hour("InvoiceDate")::tinyint as hour, pid, oid, cid,
            country_no, cast({_KIND} as tinyint) as kind, abs("Quantity") as quantity,
            cast(abs("Quantity") * "Price" as {_MONEY}) as amount
        from {_LINES}""",
        f"""create table events as
        select "InvoiceDate" as event_at, customer_id,
            ['purchase', 'return', 'gift', 'charge', 'charge_refund'][{_KIND}] as event_type, order_id,
            code as product_id, abs("Quantity") as quantity, "Price" as unit_price, countries.country,
            nullif(trim("Description"), '') as description
        from {_LINES}""",
    ]


def _days() -> list[str]:
    """Return the statements of the daily tables."""
    return [
        f"""create table product_daily as
        select {FIRST_DAY} + day::int as sales_date, code as product_id, orders, buyers, units, returned_units,
            gift_lines, gross as gross_revenue, returned as returned_revenue,
            cast(gross - returned as {_MONEY}) as net_revenue
        from (
            select day, pid,
                count(case when packed is distinct from before and packed is not null then 1 end) as orders,
                count(case when packed >> 16 is distinct from before >> 16 and (packed >> 16) % 8192 <> 0
                    and packed is not null then 1 end) as buyers,
                {_sum_of(1, "quantity", "bigint")} as units, {_sum_of(2, "quantity", "bigint")} as returned_units,
                count(case when kind = 3 then 1 end) as gift_lines, {_sum_of(1)} as gross, {_sum_of(2)} as returned
            from (
                select *, lag(packed) over (partition by day order by pid, packed) as before
                from (select *, case when kind = 1
                    then (((day * 8192 + pid) * 8192 + coalesce(cid, 0)) << 16) | oid end as packed
                    from lines where kind <= 3)
            ) group by day, pid
        ) join (select distinct pid, code from codes) using (pid)""",
        f"""create temp table orders as
        select day, cid, oid, bool_or(kind = 1) as bought, min(case when kind = 1 then hour end) as hour,
            max(country_no) as country_no, {_sum_of(1, "quantity", "bigint")} as units,
            {_sum_of(2, "quantity", "bigint")} as returned_units, {_sum_of(1)} as gross, {_sum_of(2)} as returned,
            cast({_sum_of(4)} - {_sum_of(5)} as {_MONEY}) as charges
        from lines group by day, cid, oid""",
        "create temp table bought as select cid, pid, day from lines where kind = 1 and cid is not null group by all",
        f"""create temp table days as
        select * from (
            select day, cid, max(country_no) as country_no, count(case when bought then 1 end) as orders,
                count(case when hour >= 18 then 1 end) as evening, sum(units)::bigint as units,
                sum(returned_units)::bigint as returned_units, {_total("gross")} as gross,
                {_total("returned")} as returned, {_total("charges")} as charges
            from orders where cid is not null group by day, cid
        ) left join (select cid, day, count(*) as products from bought group by all) using (cid, day)
        left join (
            select cid, day, count(*) as new_products
            from (select cid, pid, min(day) as day from bought group by all) group by all
        ) using (cid, day)""",
        f"""create table customer_daily as
        select {FIRST_DAY} + day::int as activity_date, customer_id, country, orders, evening as evening_orders,
            coalesce(products, 0) as products, units, returned_units, gross as gross_revenue,
            returned as returned_revenue, cast(gross - returned as {_MONEY}) as net_revenue, charges as net_charges
        from days join (select distinct cid, customer_id from customers) using (cid)
        join (select distinct country_no, country from countries) using (country_no)""",
        f"""create table totals_daily as
        select {FIRST_DAY} + day::int as sales_date, count(distinct case when bought then oid end) as orders,
            count(distinct case when bought then cid end) as buyers,
            count(distinct case when bought and cid is null then oid end) as guest_orders,
            sum(units)::bigint as units, {_total("gross")} as gross_revenue, {_total("returned")} as returned_revenue,
            {_total("gross - returned")} as net_revenue, {_total("charges")} as net_charges
        from orders group by day""",
    ]


def _held(lag: int) -> str:
    """Return a state's first week and the week after its last, `lag` days later."""
    return f"(day + {lag + 1}) // 7, least({WEEKS}, (next_day + {lag + 1}) // 7)"


def _window(days: int, column: str, kind: str) -> str:
    return f"cast(now.{column} - coalesce(lag{days}.{column}, 0) as {kind}) as"


def _snapshots(seeds: str) -> list[str]:
    """Return the statements of the snapshots."""
    windows = ",\n            ".join(
        f"{_window(days, 'orders', 'bigint')} orders_{days}d, {_window(days, 'net', _MONEY)} net_revenue_{days}d"
        for days in (30, 90, 180, 365)
    )
    joins = "\n        ".join(
        f"left join (select cid * 128 + week as key, {columns} from (select *, unnest(range({_held(days)})) as week "
        f"from states where (day + {days + 1}) // 7 < {WEEKS})) as lag{days} on now.key = lag{days}.key"
        for days, columns in _LAGS.items()
    )
    cut = "quantile_disc({}, [0.2, 0.4, 0.6, 0.8])"
    scores = ", ".join(
        f"1 + ({value} > {name}[1])::int + ({value} > {name}[2])::int + ({value} > {name}[3])::int "
        f"+ ({value} > {name}[4])::int as {name}_score"
        for value, name in (("-recency_days", "r"), ("frequency", "f"), ("monetary", "m"))
    )
    return [
        f"""create temp table states as
        with dated as (select *, case when orders > 0 then day end as order_day, gross - returned as net from days),
        before as (select *, max(order_day) over (partition by cid order by day
            rows between unbounded preceding and 1 preceding) as previous from dated),
        gaps as (select *, case when order_day is not null then order_day - previous end as gap from before)
        select cid, day, coalesce(lead(day) over (partition by cid order by day), 100000) as next_day, country_no,
            first_value(day) over run as first_seen, min(order_day) over run as first_order,
            max(order_day) over run as last_order,
            max(case when order_day is not null then previous end) over run as previous_order,
            count(order_day) over run as order_days, count(gap) over run as gaps, sum(gap) over run as gap_sum,
            sum(gap * gap) over run as gap_squares, sum(orders) over run as orders,
            cast(sum(net) over run as {_MONEY}) as net, cast(sum(gross) over run as {_MONEY}) as gross,
            cast(sum(returned) over run as {_MONEY}) as returned, sum(units) over run as units,
            sum(coalesce(new_products, 0)) over run as products,
            sum(case when (day + 1) % 7 >= 5 then orders else 0 end) over run as weekend,
            sum(evening) over run as evening
        from gaps window run as (partition by cid order by day rows unbounded preceding)""",
        f"""create table customer_features as
        select cast({FIRST_DAY} + 6 + (7 * week)::int as timestamp) as as_of, customer_id, country,
            {FIRST_DAY} + first_seen::int as first_seen_date, {FIRST_DAY} + day::int as last_seen_date,
            {FIRST_DAY} + first_order::int as first_order_date, {FIRST_DAY} + last_order::int as last_order_date,
            6 + 7 * week - last_order as recency_days, 6 + 7 * week - first_order as tenure_days,
            6 + 7 * week - previous_order as previous_order_days, order_days, now.orders::bigint as orders,
            {windows},
            cast(coalesce(lag275.orders, 0) - coalesce(lag365.orders, 0) as bigint) as orders_year_ago_90d,
            gap_sum / gaps as mean_gap_days,
            sqrt((gaps * gap_squares - gap_sum * gap_sum) / nullif(gaps * (gaps - 1), 0)) as sd_gap_days,
            now.net as net_revenue, gross as gross_revenue,
            cast(gross / nullif(now.orders, 0) as {_MONEY}) as average_order_value, units::bigint as units,
            products::bigint as distinct_products, cast(returned / nullif(gross, 0) as double) as return_rate,
            cast(weekend / nullif(now.orders, 0) as double) as weekend_order_share,
            cast(evening / nullif(now.orders, 0) as double) as evening_order_share
        from (select *, cid * 128 + week as key from (select *, unnest(range({_held(0)})) as week from states)) as now
        {joins}
        join (select distinct cid, customer_id from customers) as names on now.cid = names.cid
        join (select distinct country_no, country from countries) as places on now.country_no = places.country_no""",
        f"""create table rfm_scores as
        with customers as (select as_of, customer_id, recency_days, order_days as frequency, net_revenue as monetary
            from customer_features where order_days > 0),
        cuts as (select as_of, {cut.format("-recency_days")} as r, {cut.format("frequency")} as f,
            {cut.format("monetary")} as m from customers group by as_of),
        scored as (select customers.*, {scores} from customers join cuts using (as_of))
        select scored.*, segment from scored
        left join read_csv('{seeds}/rfm_segment_map.csv') using (r_score, f_score)""",
        "checkpoint",
    ]


def main(real: str, out: str, seeds: str) -> float:
    """Build the tables in a new file `out`. Return the seconds."""
    Path(out).unlink(missing_ok=True)
    start = time.perf_counter()
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": "2GB",
        "preserve_insertion_order": False,
    }
    with duckdb.connect(out, config=config) as connection:
        for sql in [*_lines(real, seeds), *_days(), *_snapshots(seeds)]:
            connection.execute(sql).fetchall()
    return time.perf_counter() - start


if __name__ == "__main__":
    print(f"{main(*sys.argv[1:4]):.1f} s")
