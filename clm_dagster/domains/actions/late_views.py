"""Views over scores, for steps that read them before they exist.

Belongs here: running the query of such a view at one snapshot. Does not: the queries (`dbt_like_sql`).

A view over Python tables is created after the scores, in the same run that plans actions. So a plan runs its query.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

from clm_dagster.platform.dbt_project.building import compile_model
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.partition import Reading

S = TypeVar("S")


@contextmanager
def rows_of_view(reading: Reading[S], view: str, where: str, without: Collection[str] = ()) -> Iterator[str]:
    """Hold rows of a view in a temporary table, so that several queries share its work; yield the table's name.

    without: tables to take as empty.
    """
    table = f"{view}_of_snapshot"
    query = view_query(reading.project, view, without)
    reading.connection.execute(
        f"create or replace temporary table {table} as select * from ({query}) where {where}"
    )
    try:
        yield table
    finally:
        reading.connection.execute(f"drop table {table}")


def view_query(project: Project, view: str, without: Collection[str] = ()) -> str:
    """Return the query of a view, with the queries of other views over Python tables in place of their names.

    without: tables to take as empty, such as one that the caller must not depend on.
    """

    def relation(name: str) -> str:
        if name in without:
            columns = ", ".join(
                f"null::{kind} as {column}" for column, kind in project.nodes[name].types.items()
            )
            return f"(select {columns} where false)"
        return (
            f"({view_query(project, name, without)})"
            if name in project.python_dependents
            else project.nodes[name].relation
        )

    return compile_model(project, project.model(view), relations=relation)
