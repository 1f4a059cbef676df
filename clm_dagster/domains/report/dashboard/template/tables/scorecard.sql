-- The newest graded forecasts of each model beside a naive baseline.
-- needs: marts.model_scorecard
-- columns: model VARCHAR, metric VARCHAR, as_of DATE, graded BIGINT, value DOUBLE, baseline DOUBLE
select model, metric, cast(as_of as date) as as_of, labelled as graded, value, baseline
from marts.model_scorecard
where as_of <= getvariable('as_of') and matures_on <= getvariable('as_of') and labelled > 0
    and value is not null and baseline is not null
qualify row_number() over (partition by model, metric order by as_of desc) = 1
order by model, metric
