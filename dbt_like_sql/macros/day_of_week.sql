{# The ISO 8601 day of the week, 1 for Monday to 7 for Sunday. Engines differ in the name of the function and in the
   first day of a week. #}
{% macro day_of_week(date) -%}
extract(isodow from {{ date }})
{%- endmacro %}
