"""Exposures: who uses which tables, and for what.

Belongs here: reading dbt's exposures from YAML, with file and line. Does not: showing them in the UI (`assets`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from clm_dagster.platform.dbt_project import yaml_lines
from clm_dagster.platform.dbt_project.references import parse_reference
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError, Where

# Values that dbt accepts.
TYPES = ("dashboard", "notebook", "analysis", "ml", "application")
MATURITIES = ("high", "medium", "low")


@dataclass(frozen=True)
class Exposure:
    """A use of tables outside the project. reads: the nodes, each with its place in the YAML."""

    name: str
    label: str
    kind: str
    description: str
    owner: str
    maturity: str | None
    reads: Mapping[str, Where]
    where: Where


def read_exposure(item: object, where: Where) -> Exposure:
    """Read one entry of `exposures`. Raise ProjectError, with file and line, for anything that dbt rejects."""
    known = {"name", "label", "type", "maturity", "url", "description", "depends_on", "owner"}
    content = yaml_lines.mapping(item, where, known, {"name", "type", "owner", "depends_on", "description"})
    for key, words in (("type", TYPES), ("maturity", MATURITIES)):
        if key in content and content[key] not in words:
            raise ProjectError(
                f"{content.where(key)}: {key} is {content[key]!r}; expected one of {', '.join(words)}"
            )
    if not re.fullmatch(r"\w+", str(content["name"])):
        raise ProjectError(
            f"{content.where('name')}: name is {content['name']!r}; expected letters, digits and _"
        )
    owner = yaml_lines.mapping(content["owner"], content.where("owner"), {"name", "email"}, {"name"})
    depends_on = yaml_lines.sequence(content, "depends_on")
    return Exposure(
        name=str(content["name"]),
        label=str(content.get("label") or content["name"]),
        kind=content["type"],
        description=" ".join(str(content["description"]).split()),
        owner=str(owner["name"]),
        maturity=content.get("maturity"),
        reads={parse_reference(text, place, "depends_on"): place for text, place in depends_on},
        where=content.where("name"),
    )
