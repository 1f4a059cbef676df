-- What made the scores of this snapshot: a model that passed its test, or the naive baseline, and why.
-- needs: models.serving
-- columns: model VARCHAR, part VARCHAR, is_champion BOOLEAN, model_name VARCHAR, trained_on DATE, reason VARCHAR
select replace(replace(model, 'models.', ''), '_model', '') as model, part, is_champion, model_name,
    cast(model_as_of as date) as trained_on, reason
from models.serving
where as_of = (select max(as_of) from models.serving where as_of <= getvariable('as_of'))
order by 1, 2
