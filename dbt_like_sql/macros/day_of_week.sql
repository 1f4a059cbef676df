{# The day of the week as ISO 8601 counts it, 1 for Monday to 7 for Sunday: engines differ in the word, and in the day
   that a week begins with. #}
{% macro day_of_week(date) -%}
extract(isodow from {{ date }})
{%- endmacro %}
