-- Products that are bought together, and still were in later orders.
-- needs: marts.basket_rules
-- columns: bought VARCHAR, also_bought VARCHAR, baskets BIGINT, confidence DOUBLE, later_confidence DOUBLE, lift DOUBLE
select antecedent_names as bought, consequent_name as also_bought, baskets, confidence, later_confidence, lift
from marts.basket_rules
where as_of = (select max(as_of) from marts.basket_rules where as_of <= getvariable('as_of')) and later_held
order by baskets desc, lift desc, 1, 2
limit 30
