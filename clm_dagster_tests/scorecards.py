"""Small inputs of the scorecards, for the tests of several domains.

Not unit tests of the SQL project: dbt could not read the types of a view over a Python table.
"""

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection

AS_OF, LATER = datetime(2024, 3, 4), datetime(2024, 6, 3)
TRAINED = datetime(2024, 1, 1)
DATA_END = date(2024, 6, 10)


def identities(*rows: tuple[datetime, str, str, date]) -> pd.DataFrame:
    """Rows of core.customer_identities: as_of, customer, person, first day. One of no customer keeps the types."""
    nobody = (datetime(2000, 1, 3), "nobody", "nobody", date(2000, 1, 1))
    frame = pd.DataFrame([nobody, *rows], columns=["as_of", "customer_id", "person_id", "first_seen_date"])
    return frame.assign(first_seen_date=pd.to_datetime(frame["first_seen_date"]).dt.date)


def days_until_the_end() -> pd.DataFrame:
    """core.totals_daily: its last day is the one before DATA_END."""
    return pd.DataFrame({"sales_date": [DATA_END - timedelta(days=1)]})


def graded(
    connection: Connection,
    project: Project,
    name: str,
    sources: dict[str, pd.DataFrame],
    as_of: datetime = AS_OF,
) -> pd.DataFrame:
    """Return the rows of a scorecard at one snapshot, by metric."""
    usual = {"totals_daily": days_until_the_end(), "customer_identities": identities()}
    built = build(connection, project, [name], "built", usual | sources)
    where = f"where as_of = timestamp '{as_of}'"
    return connection.frame(f"select * from {built[name]} {where} order by metric").set_index("metric")


def share_of_top(actual: np.ndarray, predicted: np.ndarray, wanted: int) -> float:
    """The sum of the `wanted` actual values with the highest predictions; tied customers share the last places."""
    order = np.sort(predicted)[::-1]
    cut = order[wanted - 1]
    above, tied = predicted > cut, predicted == cut
    return float(actual[above].sum() + actual[tied].sum() * (wanted - above.sum()) / tied.sum())
