{# The nearest whole number, the even one of two equally near, as Python and NumPy round: engines round halves away from
   zero unless they are told otherwise, each in its own word. #}
{% macro round_half_even(number) -%}
round_even({{ number }}, 0)
{%- endmacro %}
