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
# Placeholders in `fills`: the shop's currency, and the exchange rate of the row's day and currency.
CURRENCY, RATE = "{currency}", "{rate}"
CONFLICTING = "conflicting_rows"
_MANGLED = (
    "an id is a number in scientific notation, such as 1.23457E+12: a spreadsheet has lost its last digits; format the "
    "column as text and export it again"
)


@dataclass(frozen=True)
class Reject:
    """A reject reason of the contract: a condition on the columns of a row."""

    reason: str
    when: str
    description: str


@dataclass(frozen=True)
class ContractTable:
    """One contract table.

    columns: the columns that an adapter provides, name -> DuckDB type. personal: those that must not be shown. fills:
    SQL for the values of columns that loading derives from others.
    """

    name: str
    key: str
    time: str | None
    columns: dict[str, str]
    rejects: tuple[Reject, ...]
    personal: frozenset[str] = frozenset()
    fills: dict[str, str] = field(default_factory=dict)

    @property
    def relation(self) -> str:
        """The raw table that stores all versions of its rows."""
        return f"raw.{self.name}"

    @property
    def moves(self) -> bool:
        """Whether a row with the same key on another day is a version of the same fact."""
        return self.time is not None and self.key.endswith("_id")

    @property
    def identity(self) -> str:
        """SQL for what all versions of one fact have in common, a list of columns."""
        return self.key if self.moves or self.time is None else f"{self.key}, _event_date"

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
    ids = [name for name in columns if name.endswith("_id")]
    if ids:
        rejects.append(Reject("mangled_id", " or ".join(f"mangled.{name}" for name in ids), _MANGLED))
    if "conflicting" in contract:
        rejects.append(Reject(CONFLICTING, "false", " ".join(contract["conflicting"].split())))
    # A missing value may be valid. A value that cannot be parsed never is.
    named = {reject.reason for reject in rejects}
    for name, kind in (columns | OPTIONAL).items():
        if kind != "VARCHAR" and f"unreadable_{name}" not in named:
            rejects.append(
                Reject(f"unreadable_{name}", f"unreadable.{name}", f"{name} cannot be read as {kind}")
            )
    personal = frozenset(column.name for column in source.columns if "pii" in column.meta)
    fills = {name: " ".join(value.split()) for name, value in contract.get("fills", {}).items()}
    return ContractTable(
        source.name, contract["key"], contract.get("time"), columns, tuple(rejects), personal, fills
    )
