"""How YAML names another table: `ref('model')`, or `source('source', 'table')`.

Belongs here: reading such words. Does not: whether what they name is there (`project`).
"""

import re

from clm_dagster.platform.dbt_project.yaml_lines import ProjectError, Where

_ARGUMENT = r"""\s*(?:'([^'"]+)'|"([^'"]+)")\s*"""
_REF = re.compile(rf"\s*ref\({_ARGUMENT}\)\s*")
_SOURCE = re.compile(rf"\s*source\({_ARGUMENT},{_ARGUMENT}\)\s*")


def referred(text: object, where: Where, what: str) -> str:
    """Return the name of the node that is meant, `model` or `source.table`.

    Raise ProjectError for other words; `what` says what they are.
    """
    for pattern in (_REF, _SOURCE):
        found = pattern.fullmatch(str(text))
        if found:
            return ".".join(name for name in found.groups() if name)
    raise ProjectError(f"{where}: {what} is {text!r}; expected ref('model') or source('source', 'table')")
