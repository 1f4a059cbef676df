"""Lists for anonymous visitors, by country: the rows of `marts.popular_products`.

Belongs here: one list for each country, and one for all other visitors. Does not: customers (`recommendations`),
popularity by group (`cold`).
"""

from dataclasses import dataclass

import dagster as dg
import pandas as pd

from clm_dagster.domains.recommend.cold import WINDOW, ColdStart, group_lists
from clm_dagster.domains.recommend.interactions import Interactions
from clm_dagster.domains.recommend.listing import COLD
from clm_dagster.domains.recommend.markdown_tables import top_ranks
from clm_dagster.domains.recommend.queries import read_countries, read_past, read_products
from clm_dagster.domains.recommend.reasons import names_of
from clm_dagster.domains.recommend.table_settings import ListSettings
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.platform.trained_models.champions import NO_VERSION

ANYWHERE = "all"


@dataclass(frozen=True)
class VisitorInputs:
    """Inputs of the lists: purchases, the countries of customers, and the names of products.

    past: purchases of products that were sold recently, and of the popularity window before; None where there are none.
    """

    past: Interactions | None
    customers: pd.DataFrame
    products: pd.DataFrame


def read_visitors(reading: Reading[ListSettings]) -> VisitorInputs:
    """Read the purchases, countries and names of products."""
    connection = reading.connection
    return VisitorInputs(
        read_past(connection, reading.as_of, reading.settings.active_days + WINDOW),
        read_countries(connection, reading.as_of),
        read_products(connection, reading.project, reading.as_of),
    )


def recommend_by_country(work: Work[ListSettings], inputs: VisitorInputs) -> TableOutput:
    """Return a list of popular products for each country, and one for all other visitors."""
    if inputs.past is None:
        return TableOutput(pd.DataFrame(columns=work.columns))
    settings = work.settings
    lists = country_lists(inputs.past, inputs.customers, settings.count, settings.active_days)
    rows = lists.assign(horizon_days=settings.horizon_days, model_name=COLD, model_version=NO_VERSION)
    anywhere = lists[lists["country"] == ANYWHERE]
    page = top_ranks(anywhere, names_of(inputs.products), ["country"], settings.count)
    return TableOutput(
        rows[work.columns],
        {"countries": int((lists["rank"] == 1).sum()), "anywhere": dg.MetadataValue.md(page)},
    )


def country_lists(past: Interactions, customers: pd.DataFrame, count: int, active_days: int) -> pd.DataFrame:
    """Return country, rank, product_id, score and reason, sorted by country and rank.

    There is one list for each country of customers, and one with the country ANYWHERE for all other visitors.
    """
    if not past.sold_within(active_days).any():
        return pd.DataFrame(columns=["country", "rank", "product_id", "score", "reason"])
    start = ColdStart(active_days=active_days, groups=["country"]).fit(past, customers)
    countries = [None, *sorted(set(customers["country"].dropna()) - {ANYWHERE})]
    groups = pd.DataFrame({"country": pd.Series(countries, dtype=object)})
    lists = group_lists(past, start, groups, count)
    lists["country"] = lists["country"].fillna(ANYWHERE)
    return lists.sort_values(["country", "rank"], ignore_index=True)
