{# The number, from 0, of the RFM cell of a recency and a frequency in a snapshot. A score is one more than the number
   of cut-offs that are passed. #}
{% macro rfm_cell(recency, frequency, cutoffs) -%}
{% for s in range(2, 6) -%}
5 * case when {{ recency }} >= {{ cutoffs }}_r{{ s }} then 0 else 1 end
+ case when {{ frequency }} <= {{ cutoffs }}_f{{ s }} then 0 else 1 end
{%- if not loop.last %} + {% endif %}
{%- endfor %}
{%- endmacro %}
