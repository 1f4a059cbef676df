{# Rounding to the nearest integer, half to even, as in Python and NumPy. Engines round half away from zero by default
   and differ in the name of this function. #}
{% macro round_half_even(number) -%}
round_even({{ number }}, 0)
{%- endmacro %}
