select
    households.household_key,
    households.campaign,
    households.description,
    days.start_day
from {{ file('households') }} as households
left join {{ file('days') }} as days on households.campaign = days.campaign
order by households._file, households._source_row
