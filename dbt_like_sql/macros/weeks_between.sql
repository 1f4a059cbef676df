{# Full weeks between two instants. #}
{% macro weeks_between(first, last) -%}
cast(floor(date_diff('day', cast({{ first }} as date), cast({{ last }} as date)) / 7.0) as bigint)
{%- endmacro %}
