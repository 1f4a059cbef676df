-- Customers who went from one segment to another in the last week.
-- needs: marts.stage_transitions
-- columns: from_segment VARCHAR, to_segment VARCHAR, customers BIGINT
select from_state as from_segment, to_state as to_segment, sum(customers) as customers
from marts.stage_transitions
where as_of = getvariable('as_of') and previous_as_of = getvariable('as_of') - interval 7 day
    and state_kind = 'rfm_segment' and from_state <> to_state and from_state <> 'absent' and to_state <> 'absent'
group by 1, 2
order by customers desc, 1, 2
