{# What stands for the macros of adapters while sqlfluff lints their SQL; `clm_dagster.domains.ingest.adapter` defines them. #}
{% macro provenance() %}_delivery_id, _source_file, _source_row, _event_date{% endmacro %}
{% macro contract_columns() %}event_id, event_at{% endmacro %}
{% macro landed() %}landed{% endmacro %}
{% macro shared(name) %}select * from landed{% set ignored = [kwargs] %}{% endmacro %}
{% macro file(name) %}landed{% endmacro %}
{% macro time() %}event_at{% endmacro %}
{% macro row_id() %}md5(cast(_source_row as varchar)){% set ignored = [varargs, kwargs] %}{% endmacro %}
{% macro instant(column) %}cast("{{ column }}" as timestamp){% endmacro %}
{% macro instant_utc(column) %}cast("{{ column }}" as timestamp){% endmacro %}
{% macro number(column) %}cast("{{ column }}" as decimal(38, 12)){% endmacro %}
{% macro number_text(column) %}"{{ column }}"{% endmacro %}
{% macro whole(column) %}cast("{{ column }}" as bigint){% endmacro %}
{% macro identifier(column) %}"{{ column }}"{% endmacro %}
{% macro customer(column) %}"{{ column }}"{% endmacro %}
{% macro fill_down(column, by) %}"{{ column }}"{% endmacro %}
{% macro seed_column(seed, column) %}pattern{% endmacro %}
{% macro seed(name) %}seed_{{ name }}{% endmacro %}
{% macro delivery(name) %}lookup_{{ name }}{% endmacro %}
