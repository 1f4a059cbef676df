# ruff: noqa: E501
"""A table with values on which engines differ, and expressions over it.

Belongs here: rows and SQL in DuckDB's dialect. Does not: tests.
"""

# Nulls, ties of rounding, negative and large numbers, texts beyond ASCII, leap days, first and last days of ISO weeks.
ROWS = """
select * from (values
    (1, 10::bigint, 3::hugeint, 1.5::decimal(18, 4), 0.12345678::decimal(18, 8), 0.00015::double, 'a', true,
        date '2024-02-29', timestamp '2024-02-29 23:59:59.999999', 'x/y/z', ['p', 'q']),
    (2, -7::bigint, 170141183460469231::hugeint, -1.00005::decimal(18, 4), -2.5::decimal(18, 8), 0.00025::double, null,
        false, date '2020-12-31', timestamp '2020-12-31 00:00:00', '', []),
    (3, null, -12345678901234567890123::hugeint, 999999.9999::decimal(18, 4), 0.5::decimal(18, 8), -2.5::double,
        'Österreich', null, date '2021-01-03', timestamp '2021-01-04 00:00:00', '/', null),
    (4, 3000000000::bigint, 0::hugeint, 0.0001::decimal(18, 4), 1.00000001::decimal(18, 8), 2.675::double, 'ab', true,
        date '2016-01-01', timestamp '2015-12-31 23:59:59', 'one', ['日本']),
    (5, 0::bigint, null, -0.00005::decimal(18, 4), 0::decimal(18, 8), 123456789012.345678::double, '日本', true,
        date '1999-12-31', timestamp '2000-01-01 00:00:00.5', 'a/b', ['p']),
    (6, 5::bigint, 2::hugeint, null, null, null, 'A', null, null, null, null, ['p']),
    (7, 5::bigint, 7::hugeint, 2.5::decimal(18, 4), 1.5::decimal(18, 8), 0.0::double, 'zz', false, date '2024-03-01',
        timestamp '2024-03-01 12:00:00', 'x/y', ['q'])
) as rows (i, b, h, d, e, f, t, o, a, m, l, q)
"""

# Each is a column of one query over the rows.
VALUES = (
    # numbers
    "i / 2", "d / 3", "b / i", "f / 0", "-d / 0", "0 / f", "d / nullif(f, 0)", "i / nullif(i - 1, 0)", "b // 3",
    "b % 3", "h // 7", "h % 7", "(h * 10) // 3", "d * e", "d + e", "d - 1", "d * 10000", "0.1 * b", "i * 1.5 + f",
    "greatest(i, 2.5)", "greatest(b, null)", "least(d, f)", "coalesce(d, 0)", "case when o then d else 0 end",
    "round(f, 2)", "round(d, 2)", "round(d)", "round(f)", "round_even(d, 0)", "round_even(f, 0)",
    "round_even(0.1 * b, 0)", "floor(d)", "floor(f)", "abs(d)", "sqrt(abs(f))", "ln(abs(d) + 1)", "ln(f * f)",
    "log2(i)", "exp(f / 1e12)", "power(i, 2)", "cast(f as decimal(18, 4))", "cast(f / 1e6 as decimal(38, 18))",
    "cast(f as decimal(20, 0))", "cast(d as bigint)", "cast(f as bigint)", "cast(d as hugeint)", "cast(-f as hugeint)", "cast(e as decimal(18, 4))", "cast(e as double)", "cast(o as integer)",
    "cast(h as decimal(38, 0))", "-b", "not o", "i between 2 and 4",
    # texts
    "t || l", "concat(t, l)", "concat(i, '-', t, '-', b)", "concat_ws('|', t, l)", "split_part(l, '/', 1)",
    "split_part(l, '/', 2)", "split_part(l, '/', 5)", "lower(t)", "t < 'b'", "coalesce(t, '')", "t = ''",
    "cast(i as varchar)", "cast(d as varchar)", "cast(m as varchar)", "cast(a as varchar)", "cast(o as varchar)",
    "t is not distinct from null", "chr(31)", "greatest(t, l)", "min(t) over ()", "max(t) over ()",
    # dates and instants
    "a + 1", "a - 365", "a - date '2020-02-29'", "a + cast(i as integer)", "a + interval 1 day", "a - interval 1 month",
    "m - interval 1 microsecond", "date_diff('day', a, m)", "date_diff('day', m, a)", "date_diff('month', a, m)",
    "date_diff('year', a, m)", "date_trunc('month', a)", "date_trunc('week', m)", "date_trunc('week', a)",
    "date_trunc('day', m)", "extract(isodow from a)", "extract(year from a)", "extract(month from m)",
    "extract(hour from m)", "cast(m as date)", "cast(a as timestamp)", "a < m", "a >= cast('2020-12-31' as date)",
    "cast('2020-01-01' as timestamp)", "least(a, cast(m as date))",
    # lists
    "q", "list_sum(list_transform(range(1, i + 1), lambda place: 1 / log2(place + 1)))",
    # windows
    "row_number() over (order by t)", "row_number() over (order by d desc)", "rank() over (order by b)",
    "lag(a) over (order by i)", "lead(d) over so_far", "first_value(t ignore nulls) over so_far",
    "last_value(b ignore nulls) over so_far", "sum(d) over so_far", "sum(b) over (order by b)", "count(b) over so_far",
    "avg(d) over so_far", "max(f) over (partition by o order by i)",
    "sum(b) over (order by i rows between 1 preceding and 1 following)", "count(*) over (partition by o)",
)  # fmt: skip

# Each is a column of one query that groups the rows by `o`.
AGGREGATES = (
    "count(*)", "count(b)", "count(distinct t)", "sum(i)", "sum(b)", "sum(d)", "sum(h)", "avg(d)", "avg(i)",
    "avg(case when i > 2 then 1.0 else 0.0 end)", "min(t)", "max(a)", "max(m)", "arg_min(b, d)", "max_by(t, i)",
    "min_by(t, b)", "max_by(d, a) filter (where i > 1)", "avg(d) filter (where b > 3)", "sum(d) filter (where d < 0)",
    "count(*) filter (where t is not null)", "bool_and(b > 0)", "bool_or(b > 0)",
    "string_agg(t, chr(31) order by t)", "sum(d) / count(*)", "max(case when i > 3 then t end)",
    "coalesce(sum(b) filter (where i > 99), 0)", "sum(d * e)", "max(o)", "sum(b) // 2", "sum(i) % 4",
)  # fmt: skip

# Whole queries.
QUERIES = (
    "select i, unnest(range(1, i)) as n from s.rows",
    "select i * 100 + unnest(range(i, 4)) as n from s.rows",
    "select cast(unnest(generate_series(min(a), min(a) + 40, interval 1 month)) as date) as month from s.rows",
    "select cast(unnest(generate_series(a, date '2024-03-02', interval 1 day)) as date) as day from s.rows where i in (1, 7)",
    "select unnest(['b', 'a']) as name",
    "select x.name, y.k from (select unnest(['b', 'a']) as name) as x cross join (select unnest([1, 2]) as k) as y",
    "select distinct r.o from s.rows as r order by r.o desc limit 2",
    "select o, count(*) as n from s.rows group by all",
    "select i, row_number() over () as n from (select i from s.rows where i = 3) as one",
    "select i, d from s.rows union all select 8, 0",
    "select null as x, i from s.rows union all select t, i from s.rows",
    "select a.i, b.t from s.rows as a full join (select * from s.rows where i > 5) as b on a.t is not distinct from b.t",
    "select i, t from s.rows order by t desc limit 3",
    "select i, b from s.rows qualify row_number() over (partition by b order by i) = 1",
    "select cast(v as timestamp) as v, row_number() over (order by v) as n from (values ('2024-01-01'), ('2023-01-01')) as x (v)",
    "with recursive n as (select 1 as k, 1 as round union all select k * 2, round + 1 from n where k < 40) "
    "select k, round from n",
    "with recursive n as (select i, i as least from s.rows union all select n.i, x.least from n inner join "
    "(select max(least) - 1 as least from n) as x on n.least > x.least and x.least > 0) select i, least from n",
)
