"""Assignment of customers to personas at a snapshot, and persona profiles.

Belongs here: the rows of `marts.personas` and `marts.persona_profiles`. Does not belong here: training (`training`),
SQL (`queries`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from clm_dagster.domains.personas import checks, plots
from clm_dagster.domains.personas.features import shares_of, shop_share, shrunk
from clm_dagster.domains.personas.model import PersonaModel, profile
from clm_dagster.domains.personas.queries import AssignmentInputs
from clm_dagster.platform.python_tables.in_shards import Computed, InShards, total_counts
from clm_dagster.platform.python_tables.output import Rows, TableOutput
from clm_dagster.platform.python_tables.partition import Work


def assign(work: Work[Any], inputs: AssignmentInputs) -> Computed:
    """Assign every customer with an order to a persona. Return no rows if there is no model."""
    if inputs.model is None or inputs.row is None:
        return TableOutput(pd.DataFrame(columns=work.columns), {}, checks.check_coverage(False, work.label))
    return Assignment(work, inputs, inputs.model, inputs.row)


class Assignment(InShards[None, Mapping[str, float], dict[str, int]]):
    """The personas of a snapshot, shard by shard. Shares are shrunk towards those of the whole shop."""

    def __init__(
        self, work: Work[Any], inputs: AssignmentInputs, model: PersonaModel, row: pd.Series
    ) -> None:
        self._work, self._inputs, self._model = work, inputs, model
        self._shelf = work.shelf(self.shards)
        self._columns = {
            "model_name": row["model_name"],
            "model_version": row["model_version"],
            "model_as_of": row["as_of"],
        }

    @property
    def shards(self) -> int:
        """The number of shards."""
        return len(self._inputs.customers.shards)

    def measure(self, shard: int) -> None:
        """Leave the habits of a shard, with their own shares."""
        self._shelf.put("habits", shard, self._inputs.own_habits(self._model, shard).reset_index())

    def combine(self, parts: Sequence[None]) -> Mapping[str, float]:
        """Return the shares of the shop."""
        names = shares_of(self._shelf.get("habits", 0))
        orders = self._shelf.column("habits", "orders", self.shards)
        return {name: shop_share(self._shelf.column("habits", name, self.shards), orders) for name in names}

    def rows(self, whole: Mapping[str, float], shard: int) -> tuple[pd.DataFrame, dict[str, int]]:
        """Return the personas of a shard, and how many customers each has."""
        own = self._shelf.get("habits", shard).set_index("customer_id")
        frame = self._model.assign(shrunk(own, whole)).reset_index()
        sizes = {str(name): int(count) for name, count in frame["persona"].value_counts().items()}
        return frame.assign(horizon_days=0, **self._columns)[self._work.columns], sizes

    def output(self, whole: Mapping[str, float], rows: Rows, facts: Sequence[dict[str, int]]) -> TableOutput:
        """Return the rows with metadata."""
        named = {name: str(value) for name, value in self._columns.items()}
        return TableOutput(
            rows,
            {**named, "customers": total_counts(facts)},
            checks.check_coverage(True, self._work.label),
        )


def describe(work: Work[Any], inputs: AssignmentInputs) -> TableOutput:
    """Profile every persona by the habits of its customers."""
    model = inputs.model
    if model is None or inputs.assigned.empty:
        return TableOutput(pd.DataFrame(columns=work.columns))
    own = pd.concat([inputs.own_habits(model, shard) for shard in range(len(inputs.customers.shards))])
    orders = own["orders"].to_numpy(float)
    shop = {name: shop_share(own[name].to_numpy(float), orders) for name in shares_of(own)}
    frame = shrunk(own, shop)[model.scaling.habits]
    assigned = inputs.assigned.set_index("customer_id").loc[frame.index]
    revenues = inputs.customers.columns(["customer_id", "net_revenue"])
    revenue = revenues.set_index("customer_id")["net_revenue"].loc[frame.index]
    rows = profile(model, frame, assigned, revenue)
    height = 1.8 + 0.5 * rows["persona_id"].nunique()
    width = 9.0 + 0.35 * max(rows["measure"].nunique() - 8, 0)
    return TableOutput(
        rows[work.columns], work.pictures({"personas": (plots.profile_chart(rows), width, height)})
    )
