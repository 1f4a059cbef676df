"""Stages and cut-offs, compared with a Kaplan-Meier estimate and a check of each history that share no SQL."""

from collections.abc import Callable, Hashable
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from clm_dagster.domains.lifecycle.model import STAGES
from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.resources import load_sql
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster_tests.domains.lifecycle.shop import AS_OF, events_of, fill, order_days, snapshots


@pytest.fixture
def in_memory() -> Connection:
    return Connection(duckdb.connect())


# No two customers are one person.
NOBODY = pd.DataFrame(
    {"as_of": pd.Series(dtype="datetime64[us]")}
    | {name: pd.Series(dtype="str") for name in ("customer_id", "person_id")}
)


def kaplan_meier(days: pd.DataFrame, as_of: datetime) -> SurvfuncRight:
    """Return the estimate of statsmodels: gaps end at the next order, or are open on the last day before as_of."""
    frame = days[pd.to_datetime(days.activity_date) < as_of].sort_values(["customer_id", "activity_date"])
    at = pd.to_datetime(frame.activity_date)
    following = at.groupby(frame.customer_id).shift(-1)
    ends = following.fillna(pd.Timestamp(as_of) - pd.Timedelta(days=1))
    return SurvfuncRight((ends - at).dt.days, following.notna().astype(int))


def cutoff(curve: SurvfuncRight, q: float) -> int:
    returned = 1 - curve.surv_prob
    year = returned[curve.surv_times <= 365][-1]
    return int(curve.surv_times[returned >= q * year][0])


def check_against_statsmodels(
    connection: Connection, project: Project, days: pd.DataFrame, as_of: datetime
) -> tuple[int, int]:
    built = build(
        connection,
        project,
        ["lifecycle_cutoffs"],
        "s",
        {"customer_daily": days, "customer_identities": NOBODY},
        as_of=as_of,
    )
    curve = kaplan_meier(days, as_of)
    found = connection.frame(f"from {built['repurchase_survival']} where returns > 0 order by gap_days")
    np.testing.assert_array_equal(found.gap_days, curve.surv_times)
    np.testing.assert_array_equal(found.at_risk, curve.n_risk)
    np.testing.assert_array_equal(found.returns, curve.n_events)
    np.testing.assert_allclose(found.survival, curve.surv_prob, rtol=0, atol=1e-9)
    (row,) = connection.frame(f"from {built['lifecycle_cutoffs']}").to_dict("records")
    assert row["basis"] == "own gaps"
    assert (row["half_days"], row["active_days"], row["lost_days"]) == tuple(
        cutoff(curve, q) for q in (0.5, 0.8, 0.95)
    )
    for name, q in (("active", 0.8), ("lost", 0.95)):
        found_interval = (row[f"{name}_days_low"], row[f"{name}_days_high"])
        np.testing.assert_array_equal(found_interval, interval(curve, q))
    return row["active_days"], row["lost_days"]


def interval(curve: SurvfuncRight, q: float) -> tuple[float, float]:
    """The interval of Brookmeyer and Crowley by statsmodels; nan for no upper end.

    Between two lengths on either side of the interval, statsmodels says nothing: the cut-off is certain to a day.
    """
    year = 1 - curve.surv_prob[curve.surv_times <= 365][-1]
    low, high = curve.quantile_ci(q * year, method="linear")
    if np.isnan(low):
        return cutoff(curve, q), cutoff(curve, q)
    return low, np.nan if np.isinf(high) else high


def test_the_curve_and_its_cutoffs_match_statsmodels(in_memory: Connection, project: Project) -> None:
    for seed in range(3):
        check_against_statsmodels(in_memory, project, order_days(seed), AS_OF)


def test_a_curve_without_open_gaps_ends_at_zero(in_memory: Connection, project: Project) -> None:
    days = pd.DataFrame(
        {"customer_id": ["a", "a", "a"], "activity_date": [date(2024, 1, d) for d in (1, 5, 10)], "orders": 1}
    )
    relation = build(
        in_memory,
        project,
        ["repurchase_survival"],
        "s",
        {"customer_daily": days, "customer_identities": NOBODY},
        as_of=datetime(2024, 1, 11),
    )["repurchase_survival"]
    # An order on the last day has been observed for zero days.
    assert in_memory.execute(f"select gap_days, at_risk, returns, censored, survival from {relation}") == [
        (0, 3, 0, 1, 1.0),
        (4, 2, 1, 0, pytest.approx(0.5)),
        (5, 1, 1, 0, 0.0),
    ]


@pytest.mark.slow
def test_cutoffs_of_cdnow(reference_data: Path, in_memory: Connection, project: Project) -> None:
    bought = pd.read_parquet(reference_data / "cdnow" / "cdnow_master.parquet")
    days = (
        pd.DataFrame(
            {
                "customer_id": bought.customer_id,
                "activity_date": pd.to_datetime(bought.date.astype(str)).dt.date,
            }
        )
        .drop_duplicates()
        .assign(orders=1)
    )
    found = check_against_statsmodels(in_memory, project, days, datetime(1998, 7, 1))
    assert found == (121, 262)


@pytest.mark.slow
def test_cutoffs_of_online_retail_ii(reference_data: Path, in_memory: Connection, project: Project) -> None:
    path = reference_data / "online_retail_ii" / "online_retail_II.csv.gz"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False).drop_duplicates()
    code = rows.StockCode.str.strip().str.upper()
    bought = rows[
        (rows["Customer ID"] != "")
        & ~rows.Invoice.str.startswith("C")
        & (rows.Quantity.astype(int) > 0)
        & (rows.Price.astype(float) > 0)
        & code.str.match(r"^([0-9]{5}|DCGS|SP1002$|PADS$)")
    ]
    days = (
        pd.DataFrame(
            {
                "customer_id": bought["Customer ID"],
                "activity_date": pd.to_datetime(bought.InvoiceDate).dt.date,
            }
        )
        .drop_duplicates()
        .assign(orders=1)
    )
    found = check_against_statsmodels(in_memory, project, days, datetime(2011, 12, 10))
    assert found == (97, 228)


def test_the_quantiles_are_settings(
    in_memory: Connection, settings_for: Callable[..., Settings], project: Project
) -> None:
    days = order_days()
    other = load_sql(settings_for(active_quantile=0.6, lost_quantile=0.9))
    built = build(
        in_memory,
        other,
        ["lifecycle_cutoffs"],
        "s",
        {"customer_daily": days, "customer_identities": NOBODY},
        as_of=AS_OF,
    )
    curve = kaplan_meier(days, AS_OF)
    assert in_memory.execute(f"select active_days, lost_days from {built['lifecycle_cutoffs']}") == [
        (cutoff(curve, 0.6), cutoff(curve, 0.9))
    ]
    # Another quantile gives other rows, so tables built with the old one are out of date.
    assert other.models["lifecycle_cutoffs"].code_version != project.models["lifecycle_cutoffs"].code_version


@pytest.mark.parametrize(
    ("days", "as_of"),
    [
        (order_days(), datetime(2022, 12, 1)),  # no gap can be 365 days long
        (order_days(customers=20), AS_OF),  # a handful of returns
    ],
)
def test_a_young_shop_uses_fixed_days_and_names_the_basis(
    days: pd.DataFrame, as_of: datetime, in_memory: Connection, project: Project
) -> None:
    built = build(
        in_memory,
        project,
        ["lifecycle_cutoffs"],
        "s",
        {"customer_daily": days, "customer_identities": NOBODY},
        as_of=as_of,
    )
    assert in_memory.execute(
        f"select basis, half_days, active_days, lost_days from {built['lifecycle_cutoffs']}"
    ) == [("too young", None, 100, 240)]


def test_a_young_shop_of_frequent_shoppers_uses_its_own_curve(
    in_memory: Connection, project: Project
) -> None:
    """A grocer of eleven months: customers come about weekly, and after 60 days nobody does."""
    days, as_of = frequent_shoppers(), datetime(2022, 12, 1)
    active, lost = check_against_statsmodels(in_memory, project, days, as_of)
    assert (active, lost) < (30, 70)


def test_a_shop_of_exactly_a_year_uses_its_own_curve(in_memory: Connection, project: Project) -> None:
    days = order_days(customers=1_500)
    first = days.activity_date.min()
    check_against_statsmodels(in_memory, project, days, datetime.combine(first + timedelta(365), time()))


def frequent_shoppers(customers: int = 300) -> pd.DataFrame:
    """Order days of customers who come every 1 to 59 days, mostly weekly, from 2022-01-01 to 2022-11-30."""
    rng = np.random.default_rng(5)
    rows = []
    for customer in range(customers):
        day = date(2022, 1, 1) + timedelta(int(rng.integers(0, 60)))
        while day < date(2022, 12, 1):
            rows.append((f"c{customer}", day, 1))
            day += timedelta(int(min(59, rng.geometric(1 / 9))))
    return pd.DataFrame(rows, columns=["customer_id", "activity_date", "orders"])


# ------------------------------------------------------------------------------------ stages


def stage_of(days: list[date], as_of: date, active: int, lost: int) -> str:
    """Return the stage of one customer by its definition, day by day."""
    if not days:
        return "prospect"
    recency = (as_of - days[-1]).days
    if recency > active:
        return "lost" if recency > lost else "at_risk"
    if len(days) == 1:
        return "new"
    start = days[0]
    for before, after in pairwise(days):
        if (after - before).days > lost:
            start = after
    if start == days[-1]:
        return "reactivated"
    return "growing" if (days[-1] - start).days <= lost else "loyal"


def test_every_known_customer_has_exactly_one_stage(in_memory: Connection, project: Project) -> None:
    days = order_days()
    events = events_of(days)
    answers = []
    for seed in (0, 1):  # for any row order
        fill(in_memory, project, events.sample(frac=1, random_state=seed))
        built = snapshots(in_memory, project, ["lifecycle_stages"], [AS_OF], f"s{seed}")
        answers.append(in_memory.frame(f"from {built['stage_states']} order by customer_id"))
    pd.testing.assert_frame_equal(answers[0], answers[1])
    found = answers[0].set_index("customer_id").stage
    active, lost = in_memory.execute(f"select active_days, lost_days from {built['lifecycle_cutoffs']}")[0]
    before = days[pd.to_datetime(days.activity_date) < AS_OF]
    histories: dict[Hashable, list[date]] = {"x1": [], "x2": []}
    histories |= before.groupby("customer_id").activity_date.apply(list).to_dict()
    expected = {name: stage_of(dates, AS_OF.date(), active, lost) for name, dates in histories.items()}
    assert found.index.is_unique
    assert found.to_dict() == expected
    assert set(found) == set(STAGES)


def test_previous_stages_and_days_in_stage_use_stored_snapshots(
    in_memory: Connection, project: Project
) -> None:
    fill(in_memory, project, events_of(order_days()))
    as_ofs = [datetime(2023, 10, 2) + timedelta(days=7 * week) for week in (0, 1, 2, 4, 5, 8)]
    orders = ([5, 0, 3, 1, 4, 2], [0, 1, 2, 3, 4, 5])
    found = []
    for number, order in enumerate(orders):  # for any build order
        built = snapshots(
            in_memory, project, ["lifecycle_stages"], [as_ofs[place] for place in order], f"s{number}"
        )
        found.append(in_memory.frame(f"from {built['lifecycle_stages']} order by as_of, customer_id"))
    pd.testing.assert_frame_equal(found[0], found[1])
    before: dict[str, tuple[str, pd.Timestamp]] = {}
    for as_of in found[0].as_of.unique():
        now: dict[str, tuple[str, pd.Timestamp]] = {}
        for _, row in found[0][found[0].as_of == as_of].iterrows():
            previous, since = before.get(row.customer_id, (None, as_of))
            assert (row.previous_stage if isinstance(row.previous_stage, str) else None) == previous
            since = since if previous == row.stage else as_of
            assert row.days_in_stage == (as_of - since).days
            now[row.customer_id] = (row.stage, since)
        before = now
    assert found[0].days_in_stage.max() == 56


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        ("prospect", r"^known for \d+ days, no order yet$"),
        ("new", r"^first order \d+ days ago; half of such customers come back within \d+$"),
        (
            "growing",
            r"^\d+ days with an order, the last \d+ days ago; half of such customers come back within",
        ),
        (
            "loyal",
            r"^orders over \d+ days without a gap of more than \d+; last order \d+ days ago$",
        ),
        (
            "reactivated",
            r"^ordered again \d+ days ago after a gap of \d+ days; a customer is lost after \d+$",
        ),
        (
            "at_risk",
            r"^last order \d+ days ago; half of such customers come back within \d+, 80% within \d+$",
        ),
        ("lost", r"^last order \d+ days ago; half of such customers come back within \d+, 95% within \d+$"),
    ],
)
def test_the_reason_is_a_sentence(stage: str, reason: str, in_memory: Connection, project: Project) -> None:
    fill(in_memory, project, events_of(order_days(customers=150)))
    relation = snapshots(in_memory, project, ["lifecycle_stages"], [AS_OF])["lifecycle_stages"]
    reasons = in_memory.frame(f"select reason from {relation} where stage = '{stage}'").reason
    assert len(reasons) and reasons.str.match(reason).all(), reasons.iloc[0]


def test_a_young_shop_gives_only_reasons_that_it_can_know(in_memory: Connection, project: Project) -> None:
    fill(in_memory, project, events_of(order_days()))
    relation = snapshots(in_memory, project, ["lifecycle_stages"], [datetime(2022, 12, 1)])[
        "lifecycle_stages"
    ]
    (reason,) = in_memory.execute(f"select reason from {relation} where stage = 'at_risk' limit 1")[0]
    assert reason.endswith(" days ago; the shop is too young for its own cut-off, at risk after 100")
