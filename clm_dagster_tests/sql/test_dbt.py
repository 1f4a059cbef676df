"""The folder is a valid dbt project: dbt itself builds the same rows from the same raw tables.

dbt is no dependency. These tests use the one that CLM_DBT names, or `.dbt-venv/bin/dbt` in the
project's folder; docs/operations.md says how to install it.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from clm_dagster.platform.dbt_project.project import SNAPSHOT, load_project
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import PROJECT_DIR, load_settings
from clm_dagster_tests.shops import run_at, small_shop_events

pytestmark = pytest.mark.slow

FOLDER = PROJECT_DIR / "dbt_like_sql"
START, EARLIER, AS_OF = "2024-01-01", "2024-02-05", "2024-02-12"
# Short enough to end within the shop's forty days.
HORIZON_DAYS = 5
TABLES = (
    "staging.stg_events",
    "staging.stg_order_lines",
    "staging.stg_customers",
    "staging.stg_products",
    "staging.stg_catalogue",
    "staging.stg_promotions",
    "staging.stg_touches",
    "staging.stg_reviews",
    "core.demand_promotions",
    "core.customer_categories",
    "staging.rfm_segment_map",
    "staging.rfm_segment_names",
    "core.order_days",
    "core.order_continuations",
    "core.order_allocations",
    "core.orders",
    "marts.revenue_by_order_date",
    "core.customer_daily",
    "staging.stg_identities",
    "core.identifiers_daily",
    "core.shared_identifiers",
    "core.customer_identities",
    "core.product_daily",
    "core.totals_daily",
    "core.customer_products",
    "core.customer_features",
    "core.rfm_scores",
    "core.rfm_cutoffs",
    "core.rfm_states",
    "core.churn_labels",
    "core.value_labels",
    "marts.shop_daily",
    "marts.rfm_segments",
    "staging.risk_bands",
    "staging.stage_map",
    "core.repurchase_survival",
    "core.lifecycle_cutoffs",
    "core.stage_states",
    "core.channel_daily",
    "marts.lifecycle_stages",
    "marts.stage_transitions",
    "marts.segment_moves",
    "marts.segment_turnover",
    "marts.cohort_retention",
    "marts.funnel_daily",
    "core.demand_daily",
    "core.demand_keys",
    "core.demand_series",
)


@pytest.fixture(scope="module")
def dbt() -> str:
    """The dbt executable."""
    path = Path(os.environ.get("CLM_DBT", PROJECT_DIR / ".dbt-venv" / "bin" / "dbt"))
    if not path.exists():
        pytest.skip(f"no dbt at {path} (CLM_DBT)")
    return str(path)


def run_dbt(dbt: str, tmp_path: Path, warehouse: Path, *arguments: str) -> str:
    target = {"type": "duckdb", "path": str(warehouse), "schema": "main", "threads": 1}
    (tmp_path / "profiles.yml").write_text(json.dumps({"clm": {"target": "a", "outputs": {"a": target}}}))
    done = subprocess.run(
        [
            dbt,
            "--no-use-colors",
            *arguments,
            "--project-dir",
            str(FOLDER),
            "--profiles-dir",
            str(tmp_path),
            "--target-path",
            str(tmp_path / "target"),
            "--log-path",
            str(tmp_path / "logs"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_dbt_parses_the_folder_without_a_warning(dbt: str, tmp_path: Path) -> None:
    output = run_dbt(dbt, tmp_path, tmp_path / "none.duckdb", "parse")
    assert "WARNING" not in output and "Deprecat" not in output, output


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse of a shop of forty days, built by our own loader."""
    root = tmp_path_factory.mktemp("ours")
    small_shop_events(customers=30, orders=150, days=40).to_csv(root / "events.csv", index=False)
    # An order that lasts past midnight, with a discount and a later refund.
    pd.DataFrame(
        {
            "event_id": ["m1", "m2", "m3", "m4"],
            "event_at": ["2024-01-05 23:59", "2024-01-06 00:01", "2024-01-05 23:59", "2024-01-20 10:00"],
            "event_type": ["purchase", "purchase", "discount", "refund"],
            "customer_id": ["c001", "c001", "c001", ""],
            "order_id": ["m"] * 4,
            "product_id": ["p01", "p02", "", ""],
            "quantity": ["1.5", "1", "", ""],
            "unit_price": ["10", "5", "", ""],
            "line_amount": ["", "", "3.33", "1.00"],
            "email_hash": ["e1", "e1", "", ""],
        }
    ).to_csv(root / "events_midnight.csv", index=False)
    pd.DataFrame(
        {
            "customer_id": ["c001", "c099"],
            "signed_up_at": ["2024-01-03 12:00", "2024-01-20"],
            "country": ["BE", "NL"],
            "email_hash": ["", "e1"],
        }
    ).to_csv(root / "customers.csv", index=False)
    optional: dict[str, dict[str, list[str]]] = {
        "products": {"product_id": ["p01"], "name": ["Mug"], "category": ["Kitchen"], "unit_cost": ["1.20"]},
        "promotions": {
            "promotion_id": ["half", "week"],
            "product_id": ["p01", ""],
            "category": ["", "Kitchen"],
            "starts_at": ["2024-01-10", "2024-02-01 12:00"],
            "ends_at": ["2024-01-12", "2024-02-08"],
            "discount": ["0.5", "0.1"],
        },
        "touches": {"touch_id": ["t1"], "customer_id": ["c001"], "sent_at": ["2024-01-15 09:00"]},
        "reviews": {
            "review_id": ["r1"],
            "product_id": ["p01"],
            "written_at": ["2024-01-20 10:00"],
            "rating": ["4"],
        },
        "identities": {
            "customer_id": ["c002", "c003", "c003"],
            "other_id": ["c003", "c004", "c004"],
            "kind": ["customer_id"] * 3,
            "known_since": ["2024-01-10", "2024-01-10", "2024-02-08"],
            "deleted": ["false", "false", "true"],
        },
    }
    for name, columns in optional.items():
        pd.DataFrame(columns).to_csv(root / f"{name}.csv", index=False)
    settings = load_settings(
        source="generic",
        input=str(root),
        data_dir=root / "data",
        start_date=START,
        end_date=AS_OF,
        churn_horizon_days=HORIZON_DAYS,
        value_horizon_days=HORIZON_DAYS,
    )
    run_at(root, settings)
    return settings.warehouse_path


def rows(path: Path, table: str) -> pd.DataFrame:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(f"select * from {table} order by all").df()


def forget_snapshots_before(path: Path, as_of: str) -> None:
    """Delete earlier snapshots: views that read previous snapshots must see only those that dbt builds."""
    with duckdb.connect(str(path)) as connection:
        stored = connection.execute(
            "select columns.table_name from information_schema.columns join information_schema.tables "
            "using (table_schema, table_name) where table_schema = 'core' and column_name = 'as_of' "
            "and table_type = 'BASE TABLE'"
        ).fetchall()
        for (name,) in stored:
            connection.execute(f"delete from core.{name} where as_of < timestamp '{as_of}'")


def test_dbt_builds_the_same_rows(dbt: str, ours: Path, tmp_path: Path) -> None:
    forget_snapshots_before(ours, EARLIER)
    theirs = tmp_path / "theirs.duckdb"
    shutil.copy(ours, theirs)
    with duckdb.connect(str(theirs)) as connection:
        for schema in ("staging", "core", "marts"):
            connection.execute(f"drop schema {schema} cascade")
    for as_of in (EARLIER, AS_OF):
        variables = {
            "as_of": f"{as_of} 00:00:00",
            "start_date": START,
            "churn_horizon_days": HORIZON_DAYS,
            "value_horizon_days": HORIZON_DAYS,
        }
        run_dbt(
            dbt,
            tmp_path,
            theirs,
            "build",
            "--vars",
            json.dumps(variables),
            "--event-time-start",
            START,
            "--event-time-end",
            as_of,
            # dbt does not build Python tables, and this shop has none.
            "--exclude",
            "source:models+",
            "source:marts+",
        )
    for table in TABLES:
        expected, found = rows(ours, table), rows(theirs, table)
        assert len(expected) > 0, table
        pd.testing.assert_frame_equal(found, expected, check_dtype="staging.rfm" not in table, obj=table)
    # One run of dbt builds a list of snapshots.
    snapshots = [name for name, model in load_project(FOLDER).models.items() if model.window == SNAPSHOT]
    with duckdb.connect(str(theirs)) as connection:
        for name in snapshots:
            connection.execute(f"drop table core.{name} cascade")
    instants = [f"{as_of} 00:00:00" for as_of in (EARLIER, AS_OF)]
    listed = json.dumps({"as_of": instants, "start_date": START})
    selected = [*snapshots, "lifecycle_cutoffs"]
    run_dbt(dbt, tmp_path, theirs, "run", "--vars", listed, "--select", *selected)
    for name in snapshots:
        expected, found = rows(ours, f"core.{name}"), rows(theirs, f"core.{name}")
        assert expected["as_of"].nunique() == len(instants), name
        pd.testing.assert_frame_equal(found, expected, obj=name)
    # dbt builds the views over Python tables too; here those are empty.
    project = load_project(FOLDER)
    with duckdb.connect(str(theirs)) as connection:
        for name, node in project.sources.items():
            if name.startswith(("marts.", "models.")):
                connection.execute(f"create schema if not exists {node.schema}")
                Connection(connection).ensure_columns(node.relation, node.types)
    run_dbt(dbt, tmp_path, theirs, "run", "--vars", listed, "--select", "source:models+", "source:marts+")
    # A unit test takes the column types from the tables, so it runs in their database.
    output = run_dbt(dbt, tmp_path, theirs, "test", "--select", "test_type:unit")
    for name, test in load_project(FOLDER).unit_tests.items():
        assert f"PASS {test.model}::{name}" in output, output
