{# One row per whole number from first, and before end; no row if there is none. #}
{% macro number_series(first, end) -%}
unnest(range({{ first }}, {{ end }}))
{%- endmacro %}
