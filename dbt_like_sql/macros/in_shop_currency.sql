{# An amount in the shop's currency. A product of two decimals of 18 digits has 18 digits, too little for lines of a million
   and more, so one of them is made wider where there is anything to multiply: that takes fifty times as long. #}
{% macro in_shop_currency(amount) -%}
case
    when exchange_rate = 1 then {{ amount }}
    else cast(round(cast({{ amount }} as decimal(19, 4)) * exchange_rate, 4) as decimal(18, 4))
end
{%- endmacro %}
