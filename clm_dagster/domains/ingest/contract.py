"""The contract: the canonical raw tables, read from the sources' documentation.

Belongs here: what every shop's rows must look like. Does not: any one shop's files (`adapter`).
"""

from dataclasses import dataclass

from clm_dagster.platform.dbt_project.project import Project, Source

# Columns that the loader fills in; an adapter may give the first two.
OPTIONAL = {"known_at": "TIMESTAMP", "deleted": "BOOLEAN"}
FILLED = ("superseded_at", "delivery_id")
# Two dates that a reject's condition may speak of.
START, END = "{start}", "{end}"


@dataclass(frozen=True)
class Reject:
    """A reason for which the contract forbids a row: a condition over its columns."""

    reason: str
    when: str
    description: str


@dataclass(frozen=True)
class ContractTable:
    """One canonical table. `columns` are what an adapter gives, name -> DuckDB type."""

    name: str
    key: str
    time: str | None
    columns: dict[str, str]
    rejects: tuple[Reject, ...]

    @property
    def relation(self) -> str:
        """Where its versions are kept."""
        return f"raw.{self.name}"

    @property
    def all_columns(self) -> dict[str, str]:
        """The columns of the stored table."""
        return {
            **self.columns,
            **OPTIONAL,
            "superseded_at": "TIMESTAMP",
            "delivery_id": "VARCHAR",
        }


def read_contract(project: Project) -> dict[str, ContractTable]:
    """Every raw table whose documentation carries `config.meta.contract`."""
    return {
        source.name: _table(source)
        for source in project.sources.values()
        if "contract" in source.config.get("meta", {})
    }


def _table(source: Source) -> ContractTable:
    contract = source.config["meta"]["contract"]
    columns = {
        column.name: str(column.data_type)
        for column in source.columns
        if column.name not in (*OPTIONAL, *FILLED)
    }
    rejects = [
        Reject(entry["reason"], " ".join(entry["when"].split()), entry["description"])
        for entry in contract["rejects"]
    ]
    # A condition may let a missing value pass; one that is there and cannot be read never does.
    named = {reject.reason for reject in rejects}
    for name, kind in (columns | OPTIONAL).items():
        if kind != "VARCHAR" and f"unreadable_{name}" not in named:
            rejects.append(
                Reject(f"unreadable_{name}", f"unreadable.{name}", f"{name} cannot be read as {kind}")
            )
    return ContractTable(source.name, contract["key"], contract.get("time"), columns, tuple(rejects))
