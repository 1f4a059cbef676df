-- Forecast of the shop's revenue for the coming weeks. Four of five weeks are expected between low and high.
-- needs: marts.demand_forecasts
-- columns: week DATE, expected DOUBLE, low DOUBLE, high DOUBLE, model_name VARCHAR
select date as week, mean as expected, q10 as low, q90 as high, model_name
from marts.demand_forecasts
where as_of = getvariable('as_of') and level = 'shop' and period = 'week' and measure = 'revenue'
order by date
