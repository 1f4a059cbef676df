"""Queries of the recommendation domain, at one as_of.

Belongs here: SQL that reads purchases, products and customers. Does not: computations on them, counting pairs of
products (`affinity`).

Only lines of the type `purchase` are read. By the contract, lines that are not products (postage, fees, manual lines)
have the type `charge`, which each source's adapter assigns. So no rules on product codes are needed here.
"""

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from clm_dagster.domains.recommend.interactions import Interactions
from clm_dagster.platform.dbt_project.building import Snapshot, compile_model
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.trained_models.samples import place_sql
from clm_dagster.platform.warehouse import Connection


def read_past(
    connection: Connection, as_of: datetime, days: int | None = None, share: float = 1.0
) -> Interactions | None:
    """Return the purchases of known customers before as_of, or None where there are none.

    days: only those of the last days; None for all. share: of the customers, below 1 for a sample. Customers are the
    persons of core.customer_identities at as_of.

    The result equals that of `interactions` on the lines. The database replaces ids by numbers, so that no text is
    transferred per line.
    """
    start = datetime.min if days is None else as_of - timedelta(days=days)
    which = [as_of, start, as_of, share]
    customers = connection.frame(_IDS.format(column="customer_id"), which)
    products = connection.frame(_IDS.format(column="product_id"), which)
    if customers.empty:
        return None
    for name, frame in (("customers", customers), ("products", products)):
        numbered = frame.assign(number=np.arange(len(frame), dtype=np.int32))
        connection.load_frame(f"recommend_{name}", numbered, temporary=True)
    rows = connection.frame(_NUMBERED, [as_of, *which])
    for name in ("customers", "products"):
        connection.execute(f"drop table recommend_{name}")
    return Interactions(
        as_of=as_of.date(),
        customers=customers["id"].to_numpy(dtype=object),
        products=products["id"].to_numpy(dtype=object),
        customer=rows["customer"].to_numpy(),
        product=rows["product"].to_numpy(),
        age=rows["age"].to_numpy(),
        quantity=rows["quantity"].to_numpy(),
    )


_BOUGHT = f"""
    from (
        select lines.* replace (coalesce(persons.person_id, lines.customer_id) as customer_id)
        from staging.stg_order_lines as lines
        left join core.customer_identities as persons
            on persons.as_of = ? and lines.customer_id = persons.customer_id
    )
    where line_type = 'purchase' and customer_id is not null and product_id is not null
        and event_at >= ? and event_at < ? and {place_sql("customer_id")} < ?
"""
_IDS = f"select distinct {{column}} as id {_BOUGHT} order by id"
# Join before aggregating, so that the grouping keys are numbers.
_NUMBERED = f"""
    select
        bought.customer,
        bought.product,
        (?::date - bought.day)::integer as age,
        sum(bought.units)::float as quantity
    from (
        select c.number as customer, p.number as product, lines.event_date as day, lines.units
        from (select customer_id, product_id, event_date, units {_BOUGHT}) as lines
        inner join recommend_customers as c on lines.customer_id = c.id
        inner join recommend_products as p on lines.product_id = p.id
    ) as bought
    group by bought.customer, bought.product, bought.day
    order by bought.customer, bought.product, bought.day
"""


def read_products(connection: Connection, project: Project, as_of: datetime) -> pd.DataFrame:
    """Return product_id, name, category as of as_of; the view staging.stg_products has the latest names only."""
    then = compile_model(project, project.model("stg_products"), Snapshot(as_of))
    return connection.frame(f"select product_id, name, category from ({then}) order by product_id")


def read_customers(connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Return every customer known at as_of, with or without an order: customer_id, country, segment (RFM)."""
    return connection.frame(
        """
        select known.customer_id, known.country, scores.segment
        from core.customer_features as known
        left join core.rfm_scores as scores
            on known.as_of = scores.as_of and known.customer_id = scores.customer_id
        where known.as_of = ?
        order by known.customer_id
        """,
        [as_of],
    )


def read_countries(connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Return every customer known at as_of, with or without an order: customer_id, country."""
    return connection.frame(
        "select customer_id, country from core.customer_features where as_of = ? order by customer_id",
        [as_of],
    )


def read_segments(connection: Connection, day: date, share: float = 1.0) -> pd.Series:
    """Return customer_id -> RFM segment at a snapshot of a share of the customers; empty without such a snapshot."""
    frame = connection.frame(
        "select customer_id, segment from core.rfm_scores "
        f"where as_of = ? and {place_sql('customer_id')} < ? order by customer_id",
        [day, share],
    )
    return frame.set_index("customer_id")["segment"]


def read_baskets(connection: Connection, start: date, end: date) -> pd.DataFrame:
    """Return the products of each order of the days [start, end), guests included: order_id, product_id.

    An order is its id and customer: order_id holds both.
    """
    return connection.frame(
        "select distinct concat_ws(chr(31), order_id, customer_id) as order_id, product_id "
        "from staging.stg_order_lines where line_type = 'purchase' "
        "and order_id is not null and product_id is not null and event_at >= ? and event_at < ? order by all",
        [start, end],
    )
