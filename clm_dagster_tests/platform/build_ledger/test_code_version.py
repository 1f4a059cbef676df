"""The version of Python code depends on the code that a function can reach, and on nothing else."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clm_dagster.domains.value import purchase_model, registered, score
from clm_dagster.platform.build_ledger.code_version import closure, code_version
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.settings import PROJECT_DIR
from clm_dagster.statistics.evaluation.calibration import fit_shape
from clm_dagster.statistics.evaluation.metrics import calibration_error

CALIBRATION = "clm_dagster/statistics/evaluation/calibration.py"
PRINT = """
from clm_dagster.platform.build_ledger.code_version import code_version
from clm_dagster.domains.churn.tables import evaluate, report
print(code_version([evaluate, report]))
"""


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, to edit."""
    root = tmp_path_factory.mktemp("copied")
    shutil.copytree(PROJECT_DIR / "clm_dagster", root / "clm_dagster", ignore=shutil.ignore_patterns("*.pyc"))
    return root


def version_of(root: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PRINT], cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def edited(root: Path, file: str, edit: Callable[[str], str]) -> str:
    """Return the version with an edited file."""
    path = root / file
    text = path.read_text()
    changed = edit(text)
    assert changed != text
    path.write_text(changed)
    try:
        return version_of(root)
    finally:
        path.write_text(text)


def test_a_changed_gate_makes_churn_stale_and_a_reworded_comment_does_not(copied: Path) -> None:
    before = version_of(copied)
    assert edited(copied, CALIBRATION, lambda text: text.replace("1e-", "2e-", 1)) != before
    gates = "clm_dagster/statistics/evaluation/gates.py"
    assert (
        edited(copied, gates, lambda text: text.replace("<= calibration_limit", "< calibration_limit"))
        != before
    )
    assert edited(copied, CALIBRATION, lambda text: text.replace('"""', '"""Other words. ', 1)) == before
    assert edited(copied, CALIBRATION, lambda text: f"# A comment.\n\n{text}") == before
    plots = "clm_dagster/domains/churn/mlflow_plots.py"
    assert (
        edited(copied, plots, lambda text: text.replace("_FEATURES_SHOWN = 12", "_FEATURES_SHOWN = 9"))
        == before
    )


def test_a_closure_contains_only_reachable_definitions() -> None:
    metrics = {name for module, name in closure([calibration_error]) if module.endswith("evaluation.metrics")}
    assert "calibration_error" in metrics and "lift_at" not in metrics
    modules = {module for module, _ in closure([fit_shape])}
    assert "clm_dagster.statistics.evaluation.calibration" in modules
    assert not any("churn" in module for module in modules)


def test_the_closure_of_a_late_function_is_that_of_the_function() -> None:
    (late,) = late_functions(score.__name__, "expect_weekly")
    assert code_version([late]) == code_version([score.expect_weekly])
    assert closure([late]) == closure([score.expect_weekly])


def test_a_closure_goes_through_late_functions() -> None:
    found = closure([score.expect_weekly])
    assert (registered.__name__, "REGISTERED") in found
    assert {("clm_dagster.domains.value.served", name) for name in ("pack", "unpack")} <= found
    assert not {(registered.__name__, name) for name in ("pack", "unpack", "late_functions")} & found


def test_a_closure_goes_through_late_names_of_packages() -> None:
    found = {module for module, _ in closure([purchase_model.PurchaseModel])}
    assert {"clm_dagster.statistics.btyd.bgnbd", "clm_dagster.statistics.btyd.fitting"} <= found


def test_settings_are_part_of_the_version() -> None:
    assert code_version([calibration_error], 1) != code_version([calibration_error], 2)
    assert code_version([calibration_error], 1) == code_version([calibration_error], 1)


def test_a_function_that_captures_variables_is_rejected() -> None:
    with pytest.raises(ProjectError, match="is defined inside another function"):
        code_version([lambda: None])
