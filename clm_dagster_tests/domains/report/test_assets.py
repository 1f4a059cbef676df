"""Facts on a complete run of a shop: the numbers of other tables, in both languages."""

import pandas as pd
import pytest

from clm_dagster.domains.report.names import MONDAY
from clm_dagster.domains.report.wording import Wording
from clm_dagster_tests.trained_shop import Ran

pytestmark = pytest.mark.slow


def test_facts_are_the_numbers_of_other_tables(ran: Ran) -> None:
    rows = ran.query("select * from marts.report_facts order by as_of, rank")
    scored = ran.query("select distinct as_of from marts.churn_scores order by 1")
    assert set(rows["as_of"]) == set(scored["as_of"])
    for as_of, facts in rows.groupby("as_of", sort=True):
        assert list(facts["rank"]) == list(range(1, len(facts) + 1))
        assert list(facts["section"][:1]) == ["revenue"]
        assert list(facts["section"][MONDAY - 2 : MONDAY]) == ["actions", "trust"]
        named = facts.assign(subject=facts["subject"].fillna(""))
        values = named.set_index(["section", "fact", "subject"])["value"]
        expected = {
            (
                "revenue",
                "revenue",
                "",
            ): "sum(net_revenue) from marts.shop_daily where sales_date < date '{day}' and "
            "sales_date >= date '{day}' - 7",
            (
                "customers",
                "new",
                "",
            ): "sum(new_buyers) from marts.shop_daily where sales_date < date '{day}' and "
            "sales_date >= date '{day}' - 7",
            ("lifecycle", "customers_in_stage", "lost"): "count(*) from marts.lifecycle_stages where as_of = "
            "timestamp '{day}' and stage = 'lost'",
            (
                "churn",
                "expected_loss",
                "",
            ): "sum(expected_loss) from marts.churn_scores where as_of = timestamp '{day}'",
            (
                "actions",
                "planned",
                "",
            ): "count(*) from marts.next_best_actions where as_of = timestamp '{day}' and "
            "arm = 'treated' and action <> 'nothing'",
            (
                "revenue",
                "revenue_forecast",
                "",
            ): "sum(mean) from marts.demand_forecasts where as_of = timestamp '{day}' "
            "and period = 'week' and level = 'shop' and measure = 'revenue' and date = date '{day}'",
        }
        day = f"{pd.Timestamp(str(as_of)):%Y-%m-%d}"
        for name, sql in expected.items():
            found = ran.query(f"select (select {sql.format(day=day)}) as value")["value"].iloc[0]
            # A stage without customers has no fact.
            value = values.get(name, 0.0) if name[1] == "customers_in_stage" else values[name]
            assert value == pytest.approx(float(found)), (day, name)


def test_sentences_have_the_numbers_of_their_rows(ran: Ran) -> None:
    rows = ran.query("select * from marts.report_facts where fact = 'active'")
    assert len(rows)
    for code in ("en", "zh"):
        wording = Wording.of(code)
        for row in rows.to_dict("records"):
            assert wording.number(row["value"]) in row[f"sentence_{code}"]
