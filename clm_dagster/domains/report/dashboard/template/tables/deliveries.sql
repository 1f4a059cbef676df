-- Rows delivered = accepted + rejected + duplicate + skipped, by table of the contract.
-- needs: raw.deliveries
-- columns: contract_table VARCHAR, delivered BIGINT, accepted BIGINT, rejected BIGINT, duplicate BIGINT, skipped BIGINT, newest_day DATE
select contract_table, sum(delivered) as delivered, sum(accepted) as accepted, sum(rejected) as rejected,
    sum(duplicate) as duplicate, sum(skipped) as skipped, max(event_date) as newest_day
from raw.deliveries
group by 1
order by delivered desc, 1
