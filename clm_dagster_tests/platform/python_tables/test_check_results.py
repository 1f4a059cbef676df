"""One result per check over all partitions of a run: no partition hides the failure of another."""

from collections.abc import Callable

import dagster as dg
import pandas as pd
import pytest

from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.assets import python_asset
from clm_dagster.platform.python_tables.check_results import join_results
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.platform.python_tables.tables import PythonTable
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.tracking import Tracking
from clm_dagster.settings import Settings

WEEKS = ("2024-01-01", "2024-01-08", "2024-01-15")


def result(passed: bool, text: str, severity: str = "WARN") -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name="a_check", passed=passed, description=text, severity=dg.AssetCheckSeverity[severity]
    )


def test_a_failure_at_any_partition_is_the_result_with_the_worst_severity() -> None:
    found = join_results(
        {
            WEEKS[0]: [result(False, "one is off", "ERROR")],
            WEEKS[1]: [result(False, "two is odd")],
            WEEKS[2]: [result(True, "three is well")],
        }
    )
    (joined,) = found
    assert not joined.passed and joined.severity == dg.AssetCheckSeverity.ERROR
    assert joined.description == (
        f"failed at 2 of 3 partitions: {WEEKS[0]}: one is off; {WEEKS[1]}: two is odd"
    )
    assert joined.metadata["failed_partitions"].value == list(WEEKS[:2])


def test_a_check_that_passed_everywhere_has_the_newest_message() -> None:
    (joined,) = join_results({key: [result(True, key)] for key in WEEKS})
    assert joined.passed and joined.description == WEEKS[2]


def read(_: Reading[None]) -> None:
    return None


def compute(work: Work[None], _: None) -> TableOutput:
    """Write a null into a column that must not be null, in the first snapshot only."""
    first = work.partition.key == WEEKS[0]
    frame = pd.DataFrame(
        {
            "product_id": [None if first else "p1"],
            "rank": 1,
            "similar_product_id": ["p2"],
            "score": [0.5],
            "by_customers": [0.5],
            "by_name": [0.5],
        }
    )
    own = dg.AssetCheckResult(
        check_name="own", passed=not first, severity=dg.AssetCheckSeverity.WARN, description="a word"
    )
    return TableOutput(frame, {}, [own])


@pytest.mark.parametrize("keys", [WEEKS, WEEKS[1:]])
def test_a_blocking_check_that_fails_on_an_earlier_snapshot_fails_the_range(
    settings_for: Callable[..., Settings],
    project: Project,
    instance: dg.DagsterInstance,
    keys: tuple[str, ...],
) -> None:
    settings = settings_for()
    table = PythonTable.of(
        project, "marts.similar_products", ["customer_features"], read, compute, None, checks={"own": "Own."}
    )
    with warehouse_of(settings).connect("a test") as connection:
        rows = [(key, Version("1"), 1) for key in WEEKS]
        versions.record(connection, "core.customer_features", rows, "a run")
    done = dg.materialize(
        [python_asset(project, settings, table)],
        instance=instance,
        resources={
            "warehouse": warehouse_of(settings),
            "tracking": Tracking(uri="sqlite:///none.db", artifact_dir="none"),
        },
        tags={
            "dagster/asset_partition_range_start": keys[0],
            "dagster/asset_partition_range_end": keys[-1],
        },
        raise_on_error=False,
    )
    checks = {found.check_name: found for found in done.get_asset_check_evaluations()}
    null, own = checks["not_null_product_id"], checks["own"]
    assert done.success == null.passed == own.passed == (keys != WEEKS)
    if keys == WEEKS:
        assert null.description == f"failed in 1 of 3 partitions: {WEEKS[0]}"
        assert null.metadata["failing_rows"].value == 1
        assert own.description == f"failed at 1 of 3 partitions: {WEEKS[0]}: a word"
