"""The lists of every customer at a snapshot: the rows of `marts.recommendations`.

Belongs here: the inputs of the table, the model of each row, the metadata. Does not: making lists (`listing`), SQL
(`queries`), the wording of checks (`checks`).
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import dagster as dg
import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.recommend.checks import ListFaults, check_lists
from clm_dagster.domains.recommend.interactions import Interactions
from clm_dagster.domains.recommend.list_faults import count_faults
from clm_dagster.domains.recommend.listing import COLD, all_customer_lists
from clm_dagster.domains.recommend.markdown_tables import top_ranks
from clm_dagster.domains.recommend.queries import read_customers, read_past, read_products
from clm_dagster.domains.recommend.ranking import Ranker
from clm_dagster.domains.recommend.reasons import names_of
from clm_dagster.domains.recommend.table_settings import ListSettings
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.trained_models.champions import NO_VERSION, Served
from clm_dagster.platform.trained_models.scoring import Scoring

# Number of customers whose lists are shown in the UI.
EXAMPLES = 5
# Each thread computes its own block of customers, about 200 MB.
MAX_THREADS = 8


@dataclass(frozen=True)
class ListInputs:
    """Inputs of the lists: purchases (None where there are none), the names of products, customers."""

    past: Interactions | None
    products: pd.DataFrame
    customers: pd.DataFrame


def read_lists(reading: Reading[ListSettings]) -> ListInputs:
    """Read the purchases, products and customers of a snapshot."""
    connection = reading.connection
    return ListInputs(
        read_past(connection, reading.as_of),
        read_products(connection, reading.project, reading.as_of),
        read_customers(connection, reading.as_of),
    )


def recommend_to_customers(scoring: Scoring[ListSettings, Ranker], inputs: ListInputs) -> TableOutput:
    """Return both lists of every customer. A list that no model serves is made by its naive baseline."""
    work, settings = scoring.work, scoring.settings
    rankers = _rankers(scoring, inputs.products)
    threads = min(work.threads or os.cpu_count() or 1, MAX_THREADS)
    rows, summary = work.buffer(), _Summary(names_of(inputs.products))
    with threadpool_limits(limits=1):
        for lists, faults in _parts(inputs, settings, rankers, threads):
            rows.add(_with_model(lists, scoring.served, settings.horizon_days))
            summary.add(lists, faults)
            work.log(f"{work.label}: {summary.faults.customers:,} of {len(inputs.customers):,} customers")
    return TableOutput(
        rows,
        {**scoring.facts(), **summary.facts()},
        check_lists(work.label, summary.faults, len(inputs.customers), settings.active_days),
    )


Lists = Mapping[str, Served[Ranker]]


def _rankers(scoring: Scoring[ListSettings, Ranker], products: pd.DataFrame) -> dict[str, Ranker]:
    """Return the ranker of each list that a model serves."""
    found = {}
    for name, served in scoring.served.items():
        ranker = served.champion
        if ranker is not None:
            ranker.products = products
            # Discontinued products follow the current setting, not the setting at training.
            ranker.settings = replace(ranker.settings, active_days=scoring.settings.active_days)
            found[name] = ranker
    return found


def _parts(
    inputs: ListInputs, settings: ListSettings, rankers: Mapping[str, Ranker], threads: int
) -> Iterator[tuple[pd.DataFrame, ListFaults]]:
    """Yield the lists of some customers at a time, with their faults; nothing for a shop without a purchase."""
    past, customers = inputs.past, inputs.customers
    if past is None:
        return
    active = past.sold_within(settings.active_days)
    known = pd.Index(past.customers).isin(customers["customer_id"])
    for lists in all_customer_lists(past, customers, inputs.products, settings, rankers, threads):
        yield lists, count_faults(lists, past, active, known)


def _with_model(lists: pd.DataFrame, served: Lists, horizon_days: int) -> pd.DataFrame:
    """Return the lists with the model or naive baseline of each place."""
    found = lists.drop(columns="method").assign(
        model_name=lists["method"],
        model_version=NO_VERSION,
        model_as_of=pd.Series(pd.NaT, index=lists.index, dtype="datetime64[us]"),
        horizon_days=horizon_days,
    )
    is_cold = lists["method"] == COLD
    for name, one in served.items():
        mine = (~is_cold & (lists["list"] == name)).to_numpy()
        columns = one.columns()
        for column in ("model_name", "model_version", "model_as_of"):
            found.loc[mine, column] = columns[column]
    return found


@dataclass
class _Summary:
    """Metadata of the lists, accumulated over the parts. names: product_id -> name."""

    names: pd.Series
    faults: ListFaults = field(default_factory=ListFaults)
    cold: int = 0
    products: set[str] = field(default_factory=set)
    examples: str = ""

    def add(self, lists: pd.DataFrame, faults: ListFaults) -> None:
        """Add the lists of some customers."""
        if not self.examples:
            some = lists[lists["customer_id"].isin(lists["customer_id"].unique()[:EXAMPLES])]
            # Numbered, because ids of customers are not for metadata.
            numbered = some.assign(customer=pd.factorize(some["customer_id"])[0] + 1)
            self.examples = top_ranks(numbered, self.names, ["customer", "list"])
        self.faults += faults
        self.cold += int(lists.loc[lists["method"] == COLD, "customer_id"].nunique())
        self.products |= set(lists["product_id"].unique())

    def facts(self) -> dict[str, object]:
        """Return the metadata."""
        return {
            "customers": self.faults.customers,
            "products": len(self.products),
            "cold_customers": self.cold,
            "examples": dg.MetadataValue.md(self.examples),
        }
