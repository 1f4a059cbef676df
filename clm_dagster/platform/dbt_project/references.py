"""References in YAML to other tables: `ref('model')` or `source('source', 'table')`.

Belongs here: parsing references. Does not: checking that the referenced node exists (`project`).
"""

import re

from clm_dagster.platform.dbt_project.yaml_lines import ProjectError, Where

_ARGUMENT = r"""\s*(?:'([^'"]+)'|"([^'"]+)")\s*"""
_REF = re.compile(rf"\s*ref\({_ARGUMENT}\)\s*")
_SOURCE = re.compile(rf"\s*source\({_ARGUMENT},{_ARGUMENT}\)\s*")


def parse_reference(text: object, where: Where, what: str) -> str:
    """Return the name of the referenced node, `model` or `source.table`.

    Raise ProjectError for any other text. what: name of the text in the message.
    """
    for pattern in (_REF, _SOURCE):
        found = pattern.fullmatch(str(text))
        if found:
            return ".".join(name for name in found.groups() if name)
    raise ProjectError(f"{where}: {what} is {text!r}; expected ref('model') or source('source', 'table')")
