-- Rejected rows by reason.
-- needs: raw.rejects
-- columns: reason VARCHAR, contract_table VARCHAR, rejected BIGINT
select reason, contract_table, count(*) as rejected
from raw.rejects
group by 1, 2
order by rejected desc, 1, 2
