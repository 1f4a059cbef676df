{#- A metric of models.candidate_metrics or models.group_metrics as a column, in a query that groups by the other keys.
    The name must be one that a trained model declares; this is checked. -#}
{% macro metric(name, column='metric') -%}
max(value) filter (where {{ column }} = '{{ name }}')
{%- endmacro %}
{% macro metric_low(name, column='metric') -%}
max(low) filter (where {{ column }} = '{{ name }}')
{%- endmacro %}
{% macro metric_high(name, column='metric') -%}
max(high) filter (where {{ column }} = '{{ name }}')
{%- endmacro %}
