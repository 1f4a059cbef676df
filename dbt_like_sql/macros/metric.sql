{#- A metric of models.candidate_metrics or models.group_metrics as a column, in a query that groups by what is named.
    The names are checked against those that trained models declare. -#}
{% macro metric(name, column='metric') -%}
max(value) filter (where {{ column }} = '{{ name }}')
{%- endmacro %}
{% macro metric_low(name, column='metric') -%}
max(low) filter (where {{ column }} = '{{ name }}')
{%- endmacro %}
{% macro metric_high(name, column='metric') -%}
max(high) filter (where {{ column }} = '{{ name }}')
{%- endmacro %}
