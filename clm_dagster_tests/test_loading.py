"""Loading definitions computes nothing, so it imports no library of statistics, of drawings or of models."""

import json
import subprocess
import sys

# Prints, for each of these libraries that loading imports, the modules of the package that were being loaded.
LOAD = """
import json, sys

HEAVY = {"formulaic", "joblib", "matplotlib", "mlflow", "scipy", "sklearn", "statsmodels"}
found = {}


class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        library = name.split(".")[0]
        if library in HEAVY and library not in found:
            frame, found[library] = sys._getframe(1), []
            while frame:
                module = frame.f_globals.get("__name__", "")
                if module.startswith("clm_dagster") and module not in found[library]:
                    found[library].append(module)
                frame = frame.f_back


sys.meta_path.insert(0, Watch)
import clm_dagster.definitions

clm_dagster.definitions.defs()
print(json.dumps(found))
"""


def test_loading_definitions_imports_no_heavy_library() -> None:
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    wrong = [f"{library} is imported by {' <- '.join(modules)}" for library, modules in found.items()]
    assert not wrong, "\n".join(wrong)
