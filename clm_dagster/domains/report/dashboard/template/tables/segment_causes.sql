-- Why customers changed their segment in the last week, as a share of all who did.
-- needs: marts.segment_moves
-- columns: cause VARCHAR, share DOUBLE
with shares as (
    select avg(purchases_share) as purchases, avg(time_share) as passing_time, avg(cutoffs_share) as moved_limits,
        avg(late_share) as late_data
    from marts.segment_moves
    where as_of = getvariable('as_of')
)
select cause, share
from shares unpivot (share for cause in (
    purchases as 'their purchases', passing_time as 'time without an order', moved_limits as 'limits that moved',
    late_data as 'late data'
))
order by share desc, cause
