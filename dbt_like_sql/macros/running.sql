{# An aggregate of a column over the snapshots so far, in a query with the window so_far. With one as_of there is only
   one row to aggregate, which is the result: windows take longer than all the rest of such a query. #}
{% macro running(aggregate, column) -%}
{% if var('as_of') is string -%}
{{ column }}
{%- elif aggregate in ['first_value', 'last_value'] -%}
{{ aggregate }}({{ column }} ignore nulls) over so_far
{%- else -%}
{{ aggregate }}({{ column }}) over so_far
{%- endif %}
{%- endmacro %}
{# The number of the snapshot at which the next row takes over, in a query with the window so_far. #}
{% macro next_number(number, end) -%}
{% if var('as_of') is string -%}
{{ end }}
{%- else -%}
coalesce(lead({{ number }}) over so_far, {{ end }})
{%- endif %}
{%- endmacro %}
