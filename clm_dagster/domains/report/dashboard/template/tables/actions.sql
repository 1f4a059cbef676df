-- Planned contacts by line of the playbook and channel. Control groups are not counted.
-- needs: marts.next_best_actions
-- columns: play VARCHAR, channel VARCHAR, customers BIGINT, expected_gain DOUBLE, expected_cost DOUBLE
select play, channel, count(*) as customers, sum(expected_gain) as expected_gain, sum(expected_cost) as expected_cost
from marts.next_best_actions
where as_of = getvariable('as_of') and arm = 'treated' and play is not null
group by 1, 2
order by expected_gain desc, 1, 2
