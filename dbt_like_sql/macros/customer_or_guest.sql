{# A hash, or null if it is the MD5, SHA-1 or SHA-256 hash of an empty text: all customers without an address would share
   it. #}
{% macro no_hash_of_nothing(column) -%}
case
    when lower({{ column }}) not in (
        'd41d8cd98f00b204e9800998ecf8427e',
        'da39a3ee5e6b4b0d3255bfef95601890afd80709',
        'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    ) then {{ column }}
end
{%- endmacro %}
{# The customer of an event, or for a guest, an id made of the strongest of the guest's own ids that the setting
   identity_guests allows. Null for a guest who has none. #}
{% macro customer_or_guest() -%}
{%- set kinds = var('identity_guests').replace(' ', '').split(',') -%}
coalesce(
    customer_id
{%- for kind in ['email_hash', 'phone_hash', 'device_id'] if kind in kinds -%}
    , 'guest:{{ kind.split('_')[0] }}:' || {{ no_hash_of_nothing(kind) }}
{%- endfor -%}
)
{%- endmacro %}
