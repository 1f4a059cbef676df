-- Effect of each campaign against its random control group; null until there is enough data.
-- needs: marts.campaign_results
-- columns: campaign VARCHAR, arm VARCHAR, metric VARCHAR, first_contact_on DATE, customers BIGINT, control_customers BIGINT, effect DOUBLE, effect_low DOUBLE, effect_high DOUBLE, is_discovery BOOLEAN, cost DOUBLE, return_on_spend DOUBLE, status VARCHAR
select campaign_id as campaign, arm, metric, first_contact_on, customers, control_customers, effect, effect_low,
    effect_high, is_discovery, cost, return_on_spend, status
from marts.campaign_results
where as_of = (select max(as_of) from marts.campaign_results where as_of <= getvariable('as_of'))
    and metric in ('conversion', 'revenue')
order by first_contact_on desc, campaign_id, arm, metric
