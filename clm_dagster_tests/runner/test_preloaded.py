"""The process that workers are forked from has imported what they call."""

import subprocess
import sys

LIBRARIES = ["scipy", "sklearn", "statsmodels", "mlflow", "sqlalchemy", "matplotlib", "skops"]
LOADED = """
import sys
import clm_dagster.runner.preloaded
print(*sorted(name for name in sys.modules if name.startswith("clm_dagster.domains.")))
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""


def test_the_modules_of_late_functions_are_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED, *LIBRARIES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours, libraries = (line.split() for line in done.stdout.splitlines()[-2:])
    assert {f"clm_dagster.domains.{name}.training" for name in ("churn", "demand", "value")} <= set(ours)
    assert {f"clm_dagster.domains.{name}.served" for name in ("churn", "demand", "value")} <= set(ours)
    assert libraries == LIBRARIES
