"""Checks of the shop's orders.

Belongs here: what a shop should know about its orders as delivered. Does not: data tests of a column (YAML).
"""

from clm_dagster.platform.assets.model_assets import Finding
from clm_dagster.platform.warehouse import Connection

_EXAMPLES = 5


def shared_order_ids(connection: Connection) -> Finding:
    """No order_id is used by several customers, or by a customer and a guest. Each of them is an order of its own."""
    shared = connection.execute(
        f"""
        with shared as (
            select order_id from core.order_days where lines > 0 group by order_id
            having min(hash(customer_id)) < max(hash(customer_id))  -- null has a hash, too
        )
        select (select count(*) from shared), order_id from shared order by order_id limit {_EXAMPLES}
        """
    )
    if not shared:
        return Finding()
    count, ids = shared[0][0], ", ".join(order_id for _, order_id in shared)
    return Finding(
        [
            f"{count:,} order ids are shared by several customers (for example {ids}); an order is its order_id and "
            "customer, so each of these ids is several orders. Make order_id unique in the adapter if it is not so "
            "in the shop"
        ]
    )
