{# One row per date from first to last, both included, in steps of a unit (day or month). Engines differ in how they
   generate a series of dates and expand it to rows. #}
{% macro date_series(first, last, unit) -%}
cast(unnest(generate_series({{ first }}, {{ last }}, interval 1 {{ unit }})) as date)
{%- endmacro %}
