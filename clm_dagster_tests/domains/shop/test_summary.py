"""The summary of a run: which models could not be learnt."""

from contextlib import closing

import duckdb

from clm_dagster.domains.shop.summary import not_learnt
from clm_dagster.platform.warehouse import Connection


def test_a_model_without_an_accepted_training_is_named_with_its_newest_reason() -> None:
    with closing(duckdb.connect()) as raw:
        raw.execute("create schema models")
        for name in ("churn_model", "value_model", "no_trainings"):
            raw.execute(f"create table models.{name} (as_of timestamp, accepted boolean, said varchar)")
        raw.execute("create table models.other (as_of timestamp, score double)")
        raw.execute(
            "insert into models.churn_model values ('2024-05-06', false, '20 customers'), "
            "('2024-02-05', false, '10 customers')"
        )
        raw.execute(
            "insert into models.value_model values ('2024-02-05', true, 'passed'), ('2024-05-06', false, 'worse')"
        )
        assert not_learnt(Connection(raw)) == [("churn_model", "20 customers")]


def test_a_shop_without_models_lacks_none() -> None:
    with closing(duckdb.connect()) as raw:
        assert not_learnt(Connection(raw)) == []
