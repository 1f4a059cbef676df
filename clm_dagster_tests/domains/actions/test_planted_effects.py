"""Results of campaigns against the planted truth: the simulated shop's own campaigns, through the pipeline."""

from datetime import datetime, time

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.actions.late_views import rows_of_view
from clm_dagster.domains.actions.measurement import CONVERSION, MEASURED, campaigns_of, result_rows
from clm_dagster.domains.actions.names import NEXT_BEST_ACTIONS
from clm_dagster.domains.actions.result_queries import read_arm_days, read_arms, read_planned_shares
from clm_dagster.domains.actions.table_settings import ResultSettings
from clm_dagster.domains.actions.tables import result_settings
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.partitions import key_of_as_of
from clm_dagster.platform.python_tables.partition import PartitionContext, Reading
from clm_dagster.platform.resources import load_sql, warehouse_of
from clm_dagster.settings import load_settings
from clm_dagster.shop_run import run_shop
from clm_dagster.simulate.parameters import Parameters
from clm_dagster.simulate.shop import simulate
from clm_dagster_tests.shops import quiet
from clm_dagster_tests.simulate.campaign_truth import conversions

pytestmark = pytest.mark.slow
PLANTED = Parameters(customers=5_000, days=455, products=60, seed=21)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The measured and true effects on conversion: of each campaign, and of all contacts of a planted group."""
    folder = tmp_path_factory.mktemp("planted")
    shop = simulate(PLANTED, folder / "shop")
    settings = load_settings(
        source="generic",
        input=str(shop.inbox),
        data_dir=folder / "data",
        start_date=PLANTED.start,
        end_date=PLANTED.end,
        max_rejected_share=1,  # planted faults
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder))
        run_shop(settings, quiet, models=False)
    truth = pd.read_parquet(folder / "shop" / "truth" / "customers.parquet")
    project, as_of = load_sql(settings), datetime.combine(PLANTED.end, time())
    context = PartitionContext(key_of_as_of(as_of), as_of, None, Version("test"), is_newest=True)
    with warehouse_of(settings).connect("a test") as connection:
        # Without plans.
        connection.ensure_columns(NEXT_BEST_ACTIONS, project.nodes[NEXT_BEST_ACTIONS].types)
        reading = Reading(connection, context, result_settings(settings), project)
        with rows_of_view(reading, "campaign_outcomes", "basis = 'touches'") as outcomes:
            outcome = connection.frame(f"select * from {outcomes} where matures_on <= date '{PLANTED.end}'")
            found = [_results(reading, outcomes)]
            connection.load_frame("truth", truth[["customer_id", "effect_news", "effect_discount"]])
            for arm in ("news", "discount"):
                # One campaign for each sign of the planted effect.
                connection.execute(
                    f"create temporary table grouped as select outcomes.* replace "
                    f"('{arm} ' || sign(effect_{arm})::int as campaign_id) from {outcomes} as outcomes "
                    f"inner join truth using (customer_id) where arm in ('control', '{arm}')"
                )
                found.append(_results(reading, "grouped"))
                connection.execute("drop table grouped")
    rows = pd.concat(found, ignore_index=True)
    return rows.assign(truth=_true(rows, outcome, truth))


def _results(reading: Reading[ResultSettings], outcomes: str) -> pd.DataFrame:
    campaigns = campaigns_of(
        read_arms(reading, outcomes),
        read_arm_days(reading, outcomes),
        read_planned_shares(reading),
        reading.settings,
    )
    rows = result_rows(campaigns, reading.settings)
    return rows[(rows["metric"] == CONVERSION) & (rows["status"] == MEASURED)]


def _true(rows: pd.DataFrame, outcome: pd.DataFrame, truth: pd.DataFrame) -> list[float]:
    """The mean true effect on the customers of each row, over all arms: who is in which is random."""
    indexed = truth.set_index("customer_id")
    effects = []
    for name, contacts in outcome.groupby("campaign_id"):
        day, who = int(str(name).removeprefix("mail-")), indexed.loc[contacts["customer_id"]]
        without = conversions(who, day, "control", PLANTED)
        for arm in ("news", "discount"):
            change = conversions(who, day, arm, PLANTED) - without
            group = [f"{arm} {int(np.sign(effect))}" for effect in who[f"effect_{arm}"]]
            effects.append(pd.DataFrame({"campaign_id": name, "arm": arm, "group": group, "effect": change}))
    all_effects = pd.concat(effects)
    by_campaign = all_effects.groupby(["campaign_id", "arm"])["effect"].mean()
    by_group = all_effects.groupby(["group", "arm"])["effect"].mean()
    means = pd.concat([by_campaign, by_group]).to_dict()
    return [means[key] for key in zip(rows["campaign_id"], rows["arm"], strict=True)]


def test_intervals_of_campaigns_cover_the_planted_effects(measured: pd.DataFrame) -> None:
    rows = measured[measured["campaign_id"].str.startswith("mail-")]
    assert len(rows) >= 36
    inside = rows["truth"].between(rows["effect_low"], rows["effect_high"])
    assert inside.mean() >= 0.85
    assert (rows["truth"].between(rows["anytime_low"], rows["anytime_high"])).mean() >= 0.95
    # Standardised errors have a standard deviation of 1, within what the chi-squared distribution allows.
    scores = (rows["effect"] - rows["truth"]) / ((rows["effect_high"] - rows["effect_low"]) / 3.92)
    assert 0.7 < scores.std() < 1.3 and abs(scores.mean()) < 3 / np.sqrt(len(rows))


def test_all_campaigns_of_an_arm_together_cover_its_planted_effect(measured: pd.DataFrame) -> None:
    # Arms are drawn anew in each campaign, so errors of two campaigns are uncorrelated.
    rows = measured[measured["campaign_id"].str.startswith("mail-")]
    for _, part in rows.groupby("arm"):
        weight = 1 / (part["effect_high"] - part["effect_low"]) ** 2
        error = np.average(part["effect"] - part["truth"], weights=weight)
        assert abs(error) < 1.96 / 3.92 / np.sqrt(weight.sum())


def test_groups_with_a_planted_effect_are_told_from_those_without(measured: pd.DataFrame) -> None:
    rows = measured[~measured["campaign_id"].str.startswith("mail-")].set_index("campaign_id")
    assert len(rows) == 6
    # Six intervals at once: three standard errors.
    error = (rows["effect_high"] - rows["effect_low"]) / 3.92
    assert ((rows["effect"] - rows["truth"]).abs() < 3 * error).all()
    assert (rows.loc[["news 0", "discount 0"], "truth"] == 0).all()
    assert (rows.loc[["news 1", "discount 1"], "truth"] > 0.02).all()
    # Of the discount there are too few contacts for so clear a result.
    assert float(rows["effect_low"].to_dict()["news 1"]) > 0
    assert (rows.loc[["news -1", "discount -1"], "truth"] < 0).all()
