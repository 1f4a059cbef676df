"""The sample of a training: what each contact is compared with, and that nothing later than as_of changes it."""

from datetime import date, datetime, time, timedelta

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.actions.table_settings import ResultSettings
from clm_dagster.domains.actions.uplift.names import NUMBERS
from clm_dagster.domains.actions.uplift.sample import Sample, read_sample
from clm_dagster.domains.actions.uplift.table_settings import UpliftSettings
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.partition import PartitionContext, Reading
from clm_dagster.platform.warehouse import Connection
from clm_dagster.statistics.evaluation import EvaluationError

AS_OF = date(2024, 6, 3)  # a Monday
SETTINGS = UpliftSettings(ResultSettings(30, ("control", "holdout"), 0.1, 0.05), 10_000)
CUSTOMERS = 400
ARMS = ("control", "discount", "news")


def instant(day: date, hour: int = 0) -> datetime:
    return datetime.combine(day, time(hour))


def read(connection: Connection, project: Project, settings: UpliftSettings = SETTINGS) -> Sample:
    partition = PartitionContext("2024-05-27", instant(AS_OF), None, Version("v"), True)
    return read_sample(Reading(connection, partition, settings, project))


def touches(
    campaign: str, day: date, customers: int = CUSTOMERS, arms: tuple[str, ...] = ARMS
) -> pd.DataFrame:
    """Contacts at 9 o'clock, with the arms by turns."""
    return pd.DataFrame(
        {
            "touch_id": [f"{campaign} {day} {number}" for number in range(customers)],
            "campaign_id": campaign,
            "customer_id": [f"c{number}" for number in range(customers)],
            "sent_at": instant(day, 9),
            "arm": [arms[number % len(arms)] for number in range(customers)],
            "channel": "email",
            "cost": 0.1,
            "opened_at": pd.NaT,
            "clicked_at": pd.NaT,
        }
    )


def orders(day: date, customers: range) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": [f"c{number}" for number in customers],
            "activity_date": day,
            "orders": 1,
            "net_revenue": 20.0,
        }
    )


@pytest.fixture
def shop(connection: Connection) -> Connection:
    """Two campaigns, snapshots of every Monday whose feature `orders` is the number of its week, and few orders."""
    for schema in ("staging", "core"):
        connection.execute(f"create schema if not exists {schema}")
    sent = [touches("spring", date(2024, 3, 6)), touches("april", date(2024, 4, 22))]
    write(connection, "staging.stg_touches", pd.concat(sent))
    bought = [orders(date(2024, 3, 20), range(90)), orders(date(2024, 5, 21), range(60))]
    write(connection, "core.customer_daily", pd.concat(bought))
    shares = pd.DataFrame({"campaign_id": ["x"], "arm": ["control"], "share": [1.0]})
    write(connection, "staging.campaign_arms", shares)
    people = pd.DataFrame({"as_of": [instant(AS_OF)], "customer_id": ["x"], "person_id": ["y"]})
    write(connection, "core.customer_identities", people)
    channels = pd.DataFrame({"customer_id": ["c0"], "acquisition_channel": ["search"]})
    write(connection, "staging.stg_customers", channels)
    write(
        connection,
        "core.customer_features",
        pd.concat([features(AS_OF - timedelta(weeks=n)) for n in range(20)]),
    )
    return connection


def features(day: date) -> pd.DataFrame:
    ids = [f"c{number}" for number in range(CUSTOMERS)]
    numbers = dict.fromkeys(NUMBERS, 1.0) | {"orders": float((AS_OF - day).days // 7)}
    return pd.DataFrame({"as_of": instant(day), "customer_id": ids, "country": "DE"}).assign(**numbers)


def write(connection: Connection, relation: str, frame: pd.DataFrame) -> None:
    """Append rows to a table, which is made of the first ones."""
    connection.load_frame("written", frame)
    if connection.relation_kind(relation) is None:
        connection.execute(f"create table {relation} as from written")
    else:
        connection.execute(f"insert into {relation} by name from written")
    connection.execute("drop table written")


def test_a_contact_has_the_features_of_the_last_snapshot_before_it(
    shop: Connection, project: Project
) -> None:
    found = read(shop, project).contacts.set_index(["campaign_id", "customer_id"])
    assert len(found) == 2 * CUSTOMERS
    # The Mondays at or before the contacts: a contact at 9 o'clock on a Monday may know its snapshot.
    weeks = found.groupby("campaign_id")["orders"].agg(["min", "max"])
    april, spring = ((AS_OF - monday).days // 7 for monday in (date(2024, 4, 22), date(2024, 3, 4)))
    assert weeks.to_numpy().tolist() == [[april, april], [spring, spring]] == [[6, 6], [13, 13]]
    assert found["acquisition_channel"].notna().sum() == 2 and set(found["country"]) == {"DE"}
    assert set(found.loc[found["is_control"], "arm"]) == {"control"}
    np.testing.assert_allclose(found[["share", "control_share"]], 1 / 3)
    converted = found["is_converted"].groupby("campaign_id").sum()
    assert converted.to_dict() == {"spring": 90, "april": 60}
    assert read(shop, project).arms == ["discount", "news"]


def test_later_data_never_changes_the_sample(shop: Connection, project: Project) -> None:
    before = read(shop, project)
    later = AS_OF + timedelta(days=1)
    # A window that is not over, contacts and orders after as_of, more of a campaign, and snapshots of the future.
    write(shop, "staging.stg_touches", touches("june", later))
    write(shop, "staging.stg_touches", touches("spring", later, arms=("news", "control", "discount")))
    write(shop, "core.customer_daily", pd.concat([orders(later, range(400)), orders(AS_OF, range(400))]))
    write(shop, "core.customer_features", features(AS_OF + timedelta(weeks=1)))
    after = read(shop, project)
    pd.testing.assert_frame_equal(after.contacts, before.contacts)
    # A contact before as_of whose window is not over changes nothing either.
    write(shop, "staging.stg_touches", touches("may", date(2024, 5, 6)))
    pd.testing.assert_frame_equal(read(shop, project).contacts, before.contacts)


def test_plans_are_no_campaigns(shop: Connection, project: Project) -> None:
    """The view over campaigns reads plans too, which read the scores of this model."""
    before = read(shop, project)
    shop.execute("create table marts.next_best_actions as select 'not as in its documentation' as oddity")
    pd.testing.assert_frame_equal(read(shop, project).contacts, before.contacts)


def test_a_larger_shop_is_sampled_by_customer(shop: Connection, project: Project) -> None:
    whole, found = read(shop, project), read(shop, project, UpliftSettings(SETTINGS.campaigns, 200))
    few = found.contacts
    assert 250 < len(few) < 550
    assert (few.groupby("customer_id").size() == 2).all()
    assert (found.part.available, found.part.used) == (len(whole.contacts), len(few))
    assert found.part.is_cut and not whole.part.is_cut
    # The arms keep their shares, and customers their outcomes.
    shares = [part["is_control"].mean() for part in (few, whole.contacts)]
    assert shares[0] == pytest.approx(shares[1], abs=0.08)
    same = whole.contacts[whole.contacts["customer_id"].isin(few["customer_id"])].reset_index(drop=True)
    outcomes = ["campaign_id", "customer_id", "arm", "share", "is_converted", "bucket"]
    pd.testing.assert_frame_equal(few[outcomes], same[outcomes])


def test_arms_out_of_their_shares_are_left_out(shop: Connection, project: Project) -> None:
    uneven = touches("uneven", date(2024, 2, 12), arms=("control", "discount", "discount", "discount"))
    write(shop, "staging.stg_touches", uneven)
    found = read(shop, project)
    assert found.unusable == ("uneven",) and set(found.contacts["campaign_id"]) == {"spring", "april"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("delete from staging.stg_touches", "no campaign before 2024-06-03 has a control arm"),
        ("update staging.stg_touches set arm = 'all'", "no campaign before 2024-06-03 has a control arm"),
        ("update staging.stg_touches set arm = null", "no campaign before 2024-06-03 has a control arm"),
        (
            "delete from staging.stg_touches where arm = 'control' and customer_id > 'c2'",
            "in their planned shares",
        ),
        (
            "update staging.stg_touches set sent_at = '2024-05-27 09:00'",
            "30 days .CLM_ACTIONS_WINDOW_DAYS. over",
        ),
    ],
)
def test_a_shop_without_campaigns_to_learn_from_is_told_why(
    shop: Connection, project: Project, change: str, message: str
) -> None:
    shop.execute(change)
    with pytest.raises(EvaluationError, match=message):
        read(shop, project)
