"""What facts are made from: small tables, known at one as_of.

Belongs here: the inputs and their types. Does not: the queries (`fact_queries`), the facts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import pandas as pd

# Weeks back that facts compare with.
WEEK, FOUR_WEEKS = 1, 4
# Weeks that are read: the newest, thirteen changes and four weeks before these.
WEEKS = 19


@dataclass(frozen=True)
class FactInputs:
    """Inputs of facts.

    day: the date of as_of. first_day, last_day: first and last day before as_of with an event; None without one.
    longest_gap: the most days between two days with events in the quarter before. weeks: one row per week with its
    sums, newest first, only whole weeks of the history. pairs: by weeks back, sums of squared changes of customers.
    splits: dimension, group and revenue of this week, a week ago and four weeks ago. states: kind (segment, stage),
    state and number of customers by weeks back. moves: customers who entered or left a state since then. lost: who
    became lost in the week, and who was lost and ordered again, by weeks back. causes: moves between segments with the
    sums of the shares of their causes. churn, churn_moves: scores by weeks back, and how they changed since then.
    contactable: customers for whom an action was looked for; None where no plan was made. plays: planned actions by
    line of the playbook and weeks back. campaigns, stock, reviews, drift: as in `fact_queries`. forecasts: of the week
    before as_of and of the next one. serving: what serves each model, model_name is null where nothing does.
    currencies: all of the history. rejected: accepted and rejected rows of the four weeks before as_of.
    """

    day: date
    first_day: date | None = None
    last_day: date | None = None
    longest_gap: int = 1
    weeks: pd.DataFrame = field(default_factory=pd.DataFrame)
    pairs: pd.DataFrame = field(default_factory=pd.DataFrame)
    splits: pd.DataFrame = field(default_factory=pd.DataFrame)
    states: pd.DataFrame = field(default_factory=pd.DataFrame)
    moves: pd.DataFrame = field(default_factory=pd.DataFrame)
    lost: pd.DataFrame = field(default_factory=pd.DataFrame)
    causes: pd.DataFrame = field(default_factory=pd.DataFrame)
    churn: pd.DataFrame = field(default_factory=pd.DataFrame)
    churn_moves: pd.DataFrame = field(default_factory=pd.DataFrame)
    contactable: int | None = None
    plays: pd.DataFrame = field(default_factory=pd.DataFrame)
    campaigns: pd.DataFrame = field(default_factory=pd.DataFrame)
    stock: pd.DataFrame = field(default_factory=pd.DataFrame)
    reviews: pd.DataFrame = field(default_factory=pd.DataFrame)
    forecasts: pd.DataFrame = field(default_factory=pd.DataFrame)
    serving: pd.DataFrame = field(default_factory=pd.DataFrame)
    drift: pd.DataFrame = field(default_factory=pd.DataFrame)
    currencies: Sequence[str] = ()
    rejected: Mapping[str, int] = field(default_factory=dict)

    @property
    def currency(self) -> str:
        """The only currency of the events, empty if there are several or none."""
        return self.currencies[0] if len(self.currencies) == 1 else ""
