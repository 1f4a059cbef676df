"""What sections read: rows of the published copy, known at one as_of.

Belongs here: queries, the newest state of a table, what a missing table means. Does not: any query of a section.
"""

from datetime import datetime
from functools import cached_property
from typing import Any

from clm_dagster.domains.report.pseudonyms import Pseudonyms
from clm_dagster.errors import UserError
from clm_dagster.platform.warehouse import Connection

Row = dict[str, Any]


class NothingToReportError(UserError):
    """The published copy has no snapshot that a page could be about."""


class PageReading:
    """The tables as a page of one as_of reads them.

    Tables of snapshots are read at the page's as_of or the newest before it. Results are kept, so that the page in a
    second language reads nothing again.
    """

    def __init__(
        self, connection: Connection, as_of: datetime, shop: str, pseudonyms: Pseudonyms | None
    ) -> None:
        """connection: to the published copy. shop: its name. pseudonyms: None to show the ids of the shop."""
        self.as_of, self.shop = as_of, shop
        self._connection, self._pseudonyms = connection, pseudonyms
        self._kept: dict[tuple[str, str], list[Row]] = {}
        self._known: dict[str, bool] = {}

    def has(self, *relations: str) -> bool:
        """Whether all these tables have rows. A view counts if it exists: reading one row may compute all of them."""
        return all(self._has(relation) for relation in relations)

    def _has(self, relation: str) -> bool:
        if relation not in self._known:
            kind = self._connection.relation_kind(relation)
            self._known[relation] = kind == "VIEW" or (
                kind is not None and bool(self._connection.execute(f"select 1 from {relation} limit 1"))
            )
        return self._known[relation]

    def has_columns(self, relation: str, *columns: str) -> bool:
        """Whether a table has rows and these columns, which an older copy may lack."""
        return self.has(relation) and set(columns) <= set(
            self._connection.columns(f"select * from {relation}")
        )

    def newest(self, relation: str, condition: str = "true") -> datetime | None:
        """Return the newest as_of of a table that is not after the page's, among rows with a condition."""
        if not self.has(relation):
            return None
        (row,) = self.rows(
            f"select max(as_of) as newest from {relation} where as_of <= $as_of and ({condition})"
        )
        found: datetime | None = row["newest"]
        return found

    def rows(self, query: str, **parameters: Any) -> list[Row]:
        """Return the rows of a query by column name. `$as_of` is the page's as_of unless a parameter names another."""
        given = {"as_of": self.as_of, **parameters}
        used = {name: value for name, value in given.items() if f"${name}" in query}
        key = (query, repr(sorted(used.items())))
        if key not in self._kept:
            found = self._connection.execute(f"select found from ({query}) as found", used)
            self._kept[key] = [row for (row,) in found]
        return self._kept[key]

    @cached_property
    def currency(self) -> str:
        """The shop's currency; empty if it is not known or there is more than one."""
        if not self.has_columns("raw.currencies", "currency", "event_date"):
            return ""
        found = self.rows(
            "select currency, sum(row_count) as amount from raw.currencies where event_date < $as_of "
            "and currency is not null and currency <> '' group by 1 order by 2 desc, 1"
        )
        return str(found[0]["currency"]) if found else ""

    def customer(self, customer_id: str) -> str:
        """Return the id of a customer as the page shows it."""
        return customer_id if self._pseudonyms is None else self._pseudonyms.of(customer_id)


# What has a row for each snapshot: of the shop's known customers (the table, and not the view marts.rfm_segments, which
# would compute all snapshots), and, also where all of them are guests or nobody has ordered yet, of its facts.
_SNAPSHOTS = ("core.rfm_scores", "marts.report_facts")


def page_as_of(connection: Connection, wanted: datetime | None) -> datetime:
    """Return the as_of of a page: the one wanted, else the newest snapshot. Raise NothingToReportError."""
    stored = [name for name in _SNAPSHOTS if connection.relation_kind(name) is not None]
    if not stored:
        raise NothingToReportError(
            f"the published copy has no {_SNAPSHOTS[0]} yet: run `clm run`, which builds the first snapshots"
        )
    known = " union ".join(f"select as_of from {name}" for name in stored)
    first, newest = connection.execute(f"select min(as_of), max(as_of) from ({known})")[0]
    if newest is None:
        raise NothingToReportError(
            f"{' and '.join(stored)} have no snapshot yet: `clm run` builds one when a week is over, and its facts "
            "with the scores"
        )
    if wanted is None:
        return datetime.fromisoformat(str(newest))
    if not connection.scalar(f"select count(*) from ({known}) where as_of = ?", [wanted]):
        raise NothingToReportError(
            f"there is no snapshot of {wanted:%Y-%m-%d}; expected a Monday with one, from {first:%Y-%m-%d} to "
            f"{newest:%Y-%m-%d}. {stored[0]} names them all"
        )
    return wanted
