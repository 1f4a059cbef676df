{# A row for each date from the first to the last, both included, a day or a month apart: engines differ in how a series
   of dates is made and becomes rows. #}
{% macro date_series(first, last, unit) -%}
cast(unnest(generate_series({{ first }}, {{ last }}, interval 1 {{ unit }})) as date)
{%- endmacro %}
