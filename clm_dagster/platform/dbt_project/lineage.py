"""Column-level lineage of a compiled model, computed with sqlglot and cached on disk.

Belongs here: from which columns a column is derived. Does not: showing it in the UI (`assets`).

sqlglot takes a second to import and a tenth of a second per model. Results are therefore cached under the hash of
their inputs, on disk and in the process, and computed once per version of a model.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from clm_dagster.storage import write_atomically

Lineage = dict[str, list[tuple[str, str]]]  # column -> (relation, column)
_computed: dict[str, Lineage] = {}


def column_lineage(sql: str, schema: Mapping[str, Mapping[str, str]], cache: Path) -> Lineage:
    """Return, for each column, the columns of the tables in `schema` from which it is derived.

    schema: relation -> column -> type. Constants and generated columns have no entry.
    """
    known = json.dumps([sql, schema], sort_keys=True)
    if known not in _computed:
        _computed[known] = _read_or_follow(known, sql, schema, cache)
    return _computed[known]


def _read_or_follow(known: str, sql: str, schema: Mapping[str, Mapping[str, str]], cache: Path) -> Lineage:
    path = cache / f"{hashlib.sha256(known.encode()).hexdigest()[:32]}.json"
    if path.exists():
        return {k: [(a, b) for a, b in v] for k, v in json.loads(path.read_text()).items()}
    result = _follow(sql, schema)
    write_atomically(path, json.dumps(result))
    return result


def _follow(sql: str, schema: Mapping[str, Mapping[str, str]]) -> Lineage:
    from sqlglot import exp
    from sqlglot.lineage import lineage

    nested: dict[str, dict[str, dict[str, str]]] = {}
    for relation, columns in schema.items():
        space, name = relation.split(".")
        nested.setdefault(space, {})[name] = dict(columns)
    result: Lineage = {}
    for column, root in lineage(None, sql, nested, dialect="duckdb", trim_selects=False).items():
        sources: set[tuple[str, str]] = set()
        for node in root.walk():
            table = node.source
            if isinstance(table, exp.Table) and not node.downstream:
                relation = f"{table.db}.{table.name}"
                if relation in schema:
                    sources.add((relation, node.name.rsplit(".", 1)[-1].strip('"')))
        if sources:
            result[column] = sorted(sources)
    return result
