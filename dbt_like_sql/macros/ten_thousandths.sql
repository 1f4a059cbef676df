{# An amount of money as a whole number of 1/10,000. It is made wider first: DuckDB 1.5 multiplies a decimal of 18 digits in 18
   digits, too few for amounts of a hundred million and more. #}
{% macro ten_thousandths(amount) -%}
cast(cast({{ amount }} as decimal(22, 4)) * 10000 as hugeint)
{%- endmacro %}
