"""The files of a simulated shop, to be queried.

Belongs here: the shop. Does not: fixtures (`fixtures`).
"""

from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from clm_dagster.simulate.parameters import Parameters
from clm_dagster.simulate.shop import Simulated, simulate


class Shop:
    """Queries on a simulated shop's files. `events` are the latest versions without deleted and dirty rows."""

    def __init__(self, simulated: Simulated) -> None:
        self.parameters, self.out = simulated.parameters, simulated.out
        self.rows = simulated.rows
        self._connection = duckdb.connect()
        self.query(f"""
            create table events as
            select * replace (
                try_cast(event_at as timestamp) as event_at, try_cast(quantity as bigint) as quantity,
                try_cast(unit_price as double) as unit_price, try_cast(known_at as timestamp) as known_at
            ), date_diff('day', date '{self.parameters.start}', try_cast(event_at as date)) as day
            from read_parquet('{self.out}/inbox/events/*.parquet', union_by_name = true)
            where event_id like 'e%'
            qualify row_number() over (partition by event_id order by try_cast(known_at as timestamp) desc) = 1
                and not cast(deleted as boolean)
        """)

    def query(self, sql: str) -> pd.DataFrame:
        return self._connection.execute(sql).df()

    def truth(self, name: str) -> pd.DataFrame:
        return self.query(f"select * from read_parquet('{self.out}/truth/{name}.parquet')")

    def table(self, name: str) -> pd.DataFrame:
        """Return the rows of another table as text, without dirty rows."""
        rows = self.query(
            f"select columns(*)::varchar from read_parquet('{self.out}/inbox/{name}/*.parquet', union_by_name=true)"
        )
        dirt = rows.astype(str).apply(lambda column: column.str.startswith("x0")).any(axis=1)
        clean: pd.DataFrame = rows[~dirt]
        return clean

    def close(self) -> None:
        self._connection.close()


def make(folder: Path, **parameters: Any) -> Shop:
    return Shop(simulate(Parameters(**parameters), folder / "shop"))
