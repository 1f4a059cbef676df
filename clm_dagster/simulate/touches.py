"""Planned touches: the mails that somebody decided on, in place of the shop's own campaigns.

Belongs here: reading and checking them. Does not: sending them (`post_purchase`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from clm_dagster.errors import UserError
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection
from clm_dagster.simulate.parameters import ARMS, Parameters

COLUMNS = ("day", "customer_id", "arm")


class TouchesError(UserError, ValueError):
    """Planned touches that the shop cannot send; the message says which and why."""


@dataclass(frozen=True)
class Touches:
    """Touches of a shop by day.

    first: the first day with a touch; from it on the shop sends no campaigns of its own. by_day: day -> customers and
    their arms, sorted by customer. digest: of all of them.
    """

    first: int
    by_day: Mapping[int, tuple[np.ndarray, np.ndarray]]
    digest: str

    @classmethod
    def of(cls, rows: pd.DataFrame, parameters: Parameters) -> "Touches":
        """Check touches. rows: day (a date), customer_id, arm. Raise TouchesError for the first that cannot be sent."""
        missing = [name for name in COLUMNS if name not in rows]
        if missing:
            raise TouchesError(f"touches have no column {', '.join(missing)}; expected {', '.join(COLUMNS)}")
        if rows.empty:
            raise TouchesError(
                "there are no touches; a row with the arm control is a customer without a mail"
            )
        arm = pd.Index(ARMS).get_indexer(pd.Index(rows["arm"].astype(str)))
        _refuse(rows["arm"], arm < 0, f"is no arm; expected {', '.join(ARMS)}")
        stamps = pd.to_datetime(rows["day"], errors="coerce")
        day = (stamps - pd.Timestamp(parameters.start)).dt.days.fillna(-1).to_numpy(np.int64)
        span = f"is no day of the shop; expected {parameters.start} to before {parameters.end}"
        _refuse(rows["day"], (day < 0) | (day >= parameters.days), span)
        texts = rows["customer_id"].astype(str)
        number = pd.to_numeric(texts.where(texts.str.fullmatch(r"c\d{7}")).str[1:], errors="coerce")
        customer = number.fillna(-1).to_numpy(np.int64)
        unknown = (customer < 0) | (customer >= parameters.customers)
        last = f"c{parameters.customers - 1:07d}"
        _refuse(rows["customer_id"], unknown, f"is no customer; expected c0000000 to {last}")
        twice = pd.DataFrame({"day": day, "customer": customer}).duplicated().to_numpy()
        _refuse(rows["customer_id"], twice, "has two touches on one day")
        order = np.lexsort((customer, day))
        day, customer, arm = day[order], customer[order], arm[order].astype(np.int64)
        days, starts = np.unique(day, return_index=True)
        ends = [*starts[1:], len(day)]
        return cls(
            first=int(days[0]),
            by_day={
                int(one): (customer[start:end], arm[start:end])
                for one, start, end in zip(days, starts, ends, strict=True)
            },
            digest=hashlib.sha256(np.stack([day, customer, arm]).astype("<i8").tobytes()).hexdigest(),
        )

    def are_sent_on(self, day: int) -> bool:
        """Whether touches, and not the shop's own campaigns, decide who gets a mail on a day."""
        return day >= self.first


def read_touches(file: Path) -> pd.DataFrame:
    """Return the touches of a CSV or Parquet file. Raise TouchesError for a file that cannot be read."""
    reader = "read_parquet" if file.suffix == ".parquet" else "read_csv"
    options = "" if file.suffix == ".parquet" else ", all_varchar = true"
    with duckdb.connect() as connection:
        try:
            return Connection(connection).frame(f"select * from {reader}({quoting.text(file)}{options})")
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise TouchesError(f"{file} cannot be read as touches: {reason}") from error


def _refuse(values: pd.Series, wrong: np.ndarray, why: str) -> None:
    """Raise TouchesError for the first row that is wrong."""
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise TouchesError(f"touch {place + 1}: {values.iloc[place]} {why}")
