"""The contract: the canonical raw tables, read from the documentation of the dbt sources.

Belongs here: the columns and rules that apply to every shop. Does not: the files of a single shop (`adapter`).
"""

from dataclasses import dataclass, field

from clm_dagster.platform.dbt_project.project import Project, Source

# Columns that an adapter may provide, and columns that only the loader fills in.
OPTIONAL = {"known_at": "TIMESTAMP", "deleted": "BOOLEAN"}
FILLED = ("superseded_at", "delivery_id")
# Placeholders for the shop's start and end date in the condition of a reject.
START, END = "{start}", "{end}"


@dataclass(frozen=True)
class Reject:
    """A reject reason of the contract: a condition on the columns of a row."""

    reason: str
    when: str
    description: str


@dataclass(frozen=True)
class ContractTable:
    """One contract table.

    columns: the columns that an adapter provides, name -> DuckDB type. fills: SQL for the values of columns that
    loading derives from others.
    """

    name: str
    key: str
    time: str | None
    columns: dict[str, str]
    rejects: tuple[Reject, ...]
    fills: dict[str, str] = field(default_factory=dict)

    @property
    def relation(self) -> str:
        """The raw table that stores all versions of its rows."""
        return f"raw.{self.name}"

    @property
    def all_columns(self) -> dict[str, str]:
        """All columns of the stored table."""
        return {
            **self.columns,
            **OPTIONAL,
            "superseded_at": "TIMESTAMP",
            "delivery_id": "VARCHAR",
        }


def read_contract(project: Project) -> dict[str, ContractTable]:
    """Return all raw tables whose documentation has `config.meta.contract`."""
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
    # A missing value may be valid. A value that cannot be parsed never is.
    named = {reject.reason for reject in rejects}
    for name, kind in (columns | OPTIONAL).items():
        if kind != "VARCHAR" and f"unreadable_{name}" not in named:
            rejects.append(
                Reject(f"unreadable_{name}", f"unreadable.{name}", f"{name} cannot be read as {kind}")
            )
    fills = {name: " ".join(value.split()) for name, value in contract.get("fills", {}).items()}
    return ContractTable(source.name, contract["key"], contract.get("time"), columns, tuple(rejects), fills)
