{# Whether an instant or a date is on one of the days of the variable changed_days. The bounds, which are constants,
   come first, so that a scan reads no other days. #}
{% macro is_on_changed_days(column) -%}
{%- set days = var('changed_days') -%}
(
    {{ column }} >= cast('{{ days | min }}' as date)
    and {{ column }} < cast('{{ days | max }}' as date) + 1
    and cast({{ column }} as date) in (
        {%- for day in days -%}
            cast('{{ day }}' as date){{ ', ' if not loop.last else '' }}
        {%- endfor -%}
    )
)
{%- endmacro %}
