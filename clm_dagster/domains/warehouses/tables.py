"""Which tables are published, and under which names.

Belongs here: the selection, columns, the column of the partition. Does not: reading rows (`source`), types of a
database (`targets`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from clm_dagster.domains.warehouses.errors import PublishError
from clm_dagster.platform.dbt_project.project import SNAPSHOT, Model, Node, Project, Source

_RAW, _MARTS, _AS_OF = "raw", "marts", "as_of"
_EXPOSURE = "exposure:"
# Kinds of personal data, of which only pseudonymous ids are published unless it is asked for.
_PSEUDONYMOUS = "pseudonymous"
# Pseudonymous columns of the warehouse that hold hashes of addresses, by which other companies know a person.
_HASHES = frozenset({"email_hash", "phone_hash", "other_id"})
LEDGER_NAMES = ("clm_published", "clm_published_tables")


@dataclass(frozen=True)
class Column:
    """A column of a published table. kind: its type in DuckDB. is_id: whether it holds ids of customers."""

    name: str
    kind: str
    description: str = ""
    is_id: bool = False


@dataclass(frozen=True)
class Table:
    """A table to publish. name: at the destination. columns: those of the published copy, without personal ones.

    partition: the column whose day is the partition of a row; None for a table that is replaced as a whole.
    """

    relation: str
    name: str
    description: str
    columns: tuple[Column, ...]
    partition: str | None


def choose(project: Project, text: str) -> dict[str, Node]:
    """Return the nodes that a selection names, by the name in the project. Raise PublishError.

    Raise it also if two of them would have the same name at the destination.
    """
    patterns = [part.strip() for part in text.split(",") if part.strip()]
    wanted = [each for each in patterns if not each.startswith("-")]
    found: dict[str, Node] = {}
    if not wanted:
        found = {name: node for name, node in project.nodes.items() if node.schema == _MARTS}
        for exposure in project.exposures.values():
            found |= {name: project.nodes[name] for name in exposure.reads}
    for pattern in wanted:
        found |= _matching(project, pattern)
    for pattern in (each[1:] for each in patterns if each.startswith("-")):
        left_out = _matching(project, pattern)
        found = {name: node for name, node in found.items() if name not in left_out}
    _check_names(list(found.values()))
    return dict(sorted(found.items(), key=lambda item: item[1].relation))


def _matching(project: Project, pattern: str) -> dict[str, Node]:
    nodes = {name: node for name, node in project.nodes.items() if node.schema != _RAW}
    if pattern.startswith(_EXPOSURE):
        exposure = project.exposures.get(pattern.removeprefix(_EXPOSURE))
        if exposure is None:
            raise PublishError(
                f"CLM_PUBLISH_TABLES: there is no {pattern}; the exposures are {', '.join(project.exposures)}"
            )
        return {name: nodes[name] for name in exposure.reads if name in nodes}
    found = {
        name: node
        for name, node in nodes.items()
        if fnmatchcase(node.relation, pattern) or fnmatchcase(node.name, pattern)
    }
    if not found:
        raise PublishError(
            f"CLM_PUBLISH_TABLES: {pattern!r} matches no table; expected names such as marts.churn_scores, patterns "
            "such as marts.*, or exposure:churn_list. Tables of the schema raw are not published"
        )
    return found


def _check_names(nodes: Sequence[Node]) -> None:
    names: dict[str, str] = dict.fromkeys(LEDGER_NAMES, "the ledger of what is published")
    for node in nodes:
        other = names.setdefault(node.name.lower(), node.relation)
        if other != node.relation:
            raise PublishError(
                f"{node.relation} and {other} would both be published as {node.name}; leave one out, as in "
                f"CLM_PUBLISH_TABLES=marts.*,-{node.relation}"
            )


def table_of(node: Node, kinds: Mapping[str, str], personal: bool) -> Table:
    """Return how a node is published. kinds: the columns of the published copy with their types.

    personal: whether columns of personal data are published, and ids of guests as they are.
    """
    documented = {column.name: column for column in node.columns}
    columns = []
    for name, kind in kinds.items():
        known = documented.get(name)
        pii = known.meta.get("pii") if known else None
        if personal or (pii in (None, _PSEUDONYMOUS) and name not in _HASHES):
            is_id = pii == _PSEUDONYMOUS and kind == "VARCHAR" and not personal
            description = " ".join(known.description.split()) if known else ""
            columns.append(Column(name, kind, description, is_id))
    description = " ".join(node.description.split())
    return Table(node.relation, node.name, description, tuple(columns), _partition(node, kinds))


def is_view(node: Node) -> bool:
    """Whether a node is a view: its rows may change on any day whatever was built."""
    return isinstance(node, Model) and node.materialized == "view"


def _partition(node: Node, kinds: Mapping[str, str]) -> str | None:
    """Return the column by whose days a table is replaced. Rows of a view are compared, so any such column will do."""
    found: str | None = None
    if isinstance(node, Model):
        found = node.unique_key[0] if node.window == SNAPSHOT else node.event_time
    elif isinstance(node, Source):
        found = _AS_OF if node.partitions == SNAPSHOT else node.event_time
    if found is None and is_view(node):
        dated = [name for name, kind in kinds.items() if kind == "DATE"]
        found = _AS_OF if _AS_OF in kinds else next(iter(dated), None)
    is_day = found is not None and kinds.get(found) in ("DATE", "TIMESTAMP")
    return found if is_day else None


def upstream(project: Project, node: Node) -> Iterator[Node]:
    """Yield a node and, of views, everything that they read directly or through other views."""
    waiting, seen = [node], set()
    while waiting:
        found = waiting.pop()
        if found.relation in seen:
            continue
        seen.add(found.relation)
        yield found
        if isinstance(found, Model) and is_view(found):
            waiting += [project.nodes[name] for name in found.refs]
