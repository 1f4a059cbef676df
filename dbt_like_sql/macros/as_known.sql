{# A filter for the current versions or, if the variable known_at is set, for the versions current at that instant. #}
{% macro as_known() -%}
{% if var('known_at') -%}
known_at <= timestamp '{{ var("known_at") }}'
    and (superseded_at is null or superseded_at > timestamp '{{ var("known_at") }}')
{%- else -%}
superseded_at is null
{%- endif %}
{%- endmacro %}
