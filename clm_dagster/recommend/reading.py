"""What the steps of this room read from the warehouse, at one as_of.

Belongs here: SQL that fetches purchases, products and customers. Does not: what is made of them.

Only lines of the type `purchase` are read. What is no product (postage, fees, manual lines) is a `charge` by the
contract, which each source's adapter decides; so no rule about product codes is needed here.
"""

from datetime import date, datetime

import numpy as np
import pandas as pd

from clm_dagster.recommend.interactions import InteractionError, Interactions
from clm_dagster.sql_models.building import Snapshot, compile_model
from clm_dagster.sql_models.project import Project
from clm_dagster.warehouse import Connection

MODEL = "models.recommender_model"

_BOUGHT = """
    select customer_id, product_id, event_date as day, sum(units)::double as quantity, {more}
    from staging.stg_order_lines
    where line_type = 'purchase' and customer_id is not null and product_id is not null and event_at < ?
"""


def read_lines(connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Purchases of known customers before as_of: customer_id, product_id, day, quantity, order_id."""
    query = _BOUGHT.format(more="order_id")
    return connection.frame(f"{query} group by all order by all", [as_of])


def read_past(connection: Connection, as_of: datetime) -> Interactions:
    """The same purchases as `interactions` makes of them, numbered by the database: no text for each line.

    Raises InteractionError where there is none.
    """
    bought = _BOUGHT.format(more="count(*) as lines") + " group by all"
    customers = connection.frame(f"select distinct customer_id from ({bought}) order by 1", [as_of])
    products = connection.frame(f"select distinct product_id from ({bought}) order by 1", [as_of])
    if customers.empty:
        raise InteractionError(f"no customer bought anything before {as_of:%Y-%m-%d}; choose a later as_of")
    for name, frame in (("customers", customers), ("products", products)):
        connection.load_frame(f"recommend_{name}", frame.assign(number=np.arange(len(frame))), temporary=True)
    rows = connection.frame(
        f"""
        select c.number as customer, p.number as product, (?::date - bought.day)::double as age, bought.quantity
        from ({bought}) as bought
        inner join recommend_customers as c on bought.customer_id = c.customer_id
        inner join recommend_products as p on bought.product_id = p.product_id
        order by customer, product, age desc
        """,
        [as_of, as_of],
    )
    orders = connection.scalar(
        "select count(distinct order_id) from staging.stg_order_lines "
        "where line_type = 'purchase' and customer_id is not null and product_id is not null and event_at < ?",
        [as_of],
    )
    return Interactions(
        as_of=as_of.date(),
        customers=customers["customer_id"].to_numpy(dtype=object),
        products=products["product_id"].to_numpy(dtype=object),
        customer=rows["customer"].to_numpy(np.int64),
        product=rows["product"].to_numpy(np.int64),
        age=rows["age"].to_numpy(float),
        quantity=rows["quantity"].to_numpy(float),
        baskets=int(orders),
    )


def read_products(connection: Connection, project: Project, as_of: datetime) -> pd.DataFrame:
    """What products were called before as_of: product_id, name, category; the view staging.stg_products knows today."""
    then = compile_model(project, project.model("stg_products"), Snapshot(as_of))
    return connection.frame(f"select product_id, name, category from ({then}) order by product_id")


def read_customers(connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Every customer known at as_of, those without an order too: customer_id, country, segment (RFM)."""
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


def read_segments(connection: Connection, day: date) -> pd.Series:
    """customer_id -> RFM segment at a snapshot; nothing where it is not there."""
    frame = connection.frame(
        "select customer_id, segment from core.rfm_scores where as_of = ? order by customer_id", [day]
    )
    return frame.set_index("customer_id")["segment"]


def read_baskets(connection: Connection, start: date, end: date) -> pd.DataFrame:
    """Products of each order of the days [start, end), guests' too: order_id, product_id."""
    return connection.frame(
        "select distinct order_id, product_id from staging.stg_order_lines where line_type = 'purchase' "
        "and order_id is not null and product_id is not null and event_at >= ? and event_at < ? order by all",
        [start, end],
    )
