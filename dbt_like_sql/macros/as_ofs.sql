{# The snapshots to build, one row each: the variable as_of is one instant or a list of instants, all midnights. n is
   the number of a snapshot in order of time, from 1. #}
{% macro as_ofs() -%}
{%- set instants = [var('as_of')] if var('as_of') is string or not var('as_of') else var('as_of') -%}
(
    select
        cast(instant as timestamp) as as_of,
        cast(instant as date) as as_of_date,
        row_number() over (order by cast(instant as timestamp)) as n
    from (
        values
        {% for instant in instants %}
            ('{{ instant }}'){{ ',' if not loop.last else '' }}
        {% endfor %}
    ) as instants (instant)
)
{%- endmacro %}
{# The last of the snapshots to build. #}
{% macro last_as_of() -%}
cast('{{ var('as_of') if var('as_of') is string or not var('as_of') else var('as_of') | max }}' as timestamp)
{%- endmacro %}
{# Whether a column is one of the snapshots to build. The instants are constants, so that a scan reads no other ones. #}
{% macro is_at_as_of(column) -%}
{%- set instants = [var('as_of')] if var('as_of') is string or not var('as_of') else var('as_of') -%}
{{ column }} in (
    {%- for instant in instants -%}
        cast('{{ instant }}' as timestamp){{ ', ' if not loop.last else '' }}
    {%- endfor -%}
)
{%- endmacro %}
