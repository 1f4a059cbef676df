-- Sentences of the newest snapshot; the first five say what changed, the sixth what to do, the seventh what to doubt.
-- needs: marts.report_facts
-- columns: rank BIGINT, section VARCHAR, sentence VARCHAR, is_trusted BOOLEAN
select rank, section, sentence_en as sentence, is_trusted
from marts.report_facts
where as_of = getvariable('as_of')
order by rank
