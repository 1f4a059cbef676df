"""Models that are built as a whole and read by day: any order of deliveries ends at the rows of one delivery."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pandas as pd
import pytest

from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings, load_settings
from clm_dagster.shop_run import run_shop

TABLES = (
    "core.order_days",
    "core.order_continuations",
    "core.order_allocations",
    "core.orders",
    "core.customer_daily",
    "core.product_daily",
    "core.totals_daily",
    "core.channel_daily",
    "core.demand_daily",
    "core.customer_products",
    "core.customer_features",
    "marts.revenue_by_order_date",
)
START = datetime(2024, 1, 1)


def quiet(title: str, total: int) -> Callable[[str, int], None]:
    return lambda step, done: None


def shop(root: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (root / "inbox").mkdir(parents=True)
    monkeypatch.setenv("DAGSTER_HOME", str(root))
    return load_settings(
        source="generic",
        input=str(root / "inbox"),
        data_dir=root / "data",
        start_date="2024-01-01",
        end_date="2024-01-08",
    )


def run(settings: Settings, events: pd.DataFrame, name: str) -> list[str]:
    """Deliver a file and run; return the jobs that ran."""
    events.to_csv(Path(settings.input) / name, index=False)
    return [done.job for done in run_shop(settings, quiet).runs]


def tables(settings: Settings) -> dict[str, pd.DataFrame]:
    with warehouse_of(settings).connect("a test") as connection:
        return {name: connection.frame(f"select * from {name} order by all") for name in TABLES}


def random_events(rng: Random, count: int) -> pd.DataFrame:
    """Purchases of few orders over a week, and discounts and refunds of them."""
    rows = []
    for number in range(count):
        kind = rng.choice(["purchase", "purchase", "purchase", "discount", "refund"])
        rows.append(
            {
                "event_id": f"e{number}",
                "event_at": str(START + timedelta(hours=rng.randrange(7 * 24))),
                "event_type": kind,
                "customer_id": rng.choice(["anna", "bob", ""]),
                "order_id": f"o{rng.randrange(6)}",
                "product_id": f"p{rng.randrange(3)}" if kind == "purchase" else "",
                "quantity": "1",
                "unit_price": f"{rng.randrange(1, 900) / 100:.2f}",
                "deleted": "",
                "known_at": "2024-02-01",
            }
        )
    return pd.DataFrame(rows)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_late_lines_and_deletes_end_at_the_rows_of_one_delivery(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = Random(seed)
    events = random_events(rng, 40)
    late = events.sample(frac=0.4, random_state=seed)
    gone = events.sample(n=5, random_state=seed + 1).assign(deleted="true", known_at="2024-02-02")
    pieces = shop(tmp_path / "pieces", monkeypatch)
    run(pieces, events.drop(late.index), "events_1.csv")
    run(pieces, late, "events_2.csv")
    run(pieces, gone, "events_3.csv")
    assert [done.job for done in run_shop(pieces, quiet).runs] == ["land"]  # a second run has nothing to do
    whole = shop(tmp_path / "whole", monkeypatch)
    run(whole, events.drop(gone.index), "events.csv")
    found, expected = tables(pieces), tables(whole)
    for name in TABLES:
        pd.testing.assert_frame_equal(found[name], expected[name], obj=name)


@pytest.mark.slow
def test_an_earlier_line_takes_the_order_from_its_later_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line of 2 January makes 5 January a continuation: that day is built again although nothing of it is new."""
    settings = shop(tmp_path / "shop", monkeypatch)
    line = {
        "event_type": "purchase",
        "customer_id": "anna",
        "order_id": "o1",
        "product_id": "p1",
        "quantity": "1",
    }
    line |= {"unit_price": "10"}
    run(settings, pd.DataFrame([line | {"event_id": "e1", "event_at": "2024-01-05 00:01"}]), "events_1.csv")
    first = tables(settings)["core.totals_daily"].set_index("sales_date")["orders"]
    assert first.to_dict() == {pd.Timestamp("2024-01-05"): 1}
    early = line | {"event_id": "e0", "event_at": "2024-01-02 23:59"}
    jobs = run(settings, pd.DataFrame([early]), "events_2.csv")
    assert jobs == ["land", "daily", "daily", "snapshots"]
    after = tables(settings)
    orders = after["core.totals_daily"].set_index("sales_date")["orders"]
    assert orders.to_dict() == {pd.Timestamp("2024-01-02"): 1, pd.Timestamp("2024-01-05"): 0}
    assert after["core.customer_daily"]["orders"].tolist() == [1, 0]
    assert [done.job for done in run_shop(settings, quiet).runs] == ["land"]


def test_only_the_days_whose_rows_change_make_what_reads_them_out_of_date(
    connection: Connection, project: Project
) -> None:
    days = ["2024-01-02", "2024-01-03", "2024-01-04"]
    model = project.models["order_continuations"]

    def expected(*rows: tuple[str, str]) -> dict[str, str]:
        """Store the table with these days and orders, and return what totals_daily is expected to be built from."""
        frame = pd.DataFrame(
            {"order_date": [day for day, _ in rows], "order_id": [order for _, order in rows]}
        )
        connection.load_frame(model.relation, frame)
        versions.record_days(connection, model.relation, "order_date", "run")
        found = Builds.read(connection).expected(project, "totals_daily", days)
        return {day: version.hash for day, version in found.items()}

    def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
        return [day for day in days if one[day] != other[day]]

    first = expected(("2024-01-02", "a"), ("2024-01-02", "b"), ("2024-01-03", "c"))
    shuffled = expected(("2024-01-03", "c"), ("2024-01-02", "b"), ("2024-01-02", "a"))
    assert differing(first, shuffled) == []
    changed = expected(("2024-01-02", "a"), ("2024-01-03", "c"), ("2024-01-04", "d"))
    assert differing(first, changed) == ["2024-01-02", "2024-01-04"]
    emptied = expected(("2024-01-02", "a"))
    assert differing(changed, emptied) == ["2024-01-03", "2024-01-04"]
    assert Builds.read(connection).keys(model.relation) == ["2024-01-02"]
