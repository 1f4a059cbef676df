"""Personas of the simulated shop against the taste groups that were planted in it."""

import pytest
from sklearn.metrics import adjusted_rand_score

from clm_dagster.domains.personas.features import habits
from clm_dagster.domains.personas.model import train
from clm_dagster_tests.simulate.shop import Shop


@pytest.mark.slow
def test_personas_find_the_planted_taste_groups_far_better_than_chance(believable: Shop) -> None:
    customers = believable.query("""
        with orders as (
            select customer_id, order_id, min(event_at) as ordered_at, sum(quantity) as units,
                sum(quantity * unit_price) as worth
            from events where event_type = 'purchase' and customer_id is not null group by all
        ), products as (
            select customer_id, count(distinct product_id) as distinct_products
            from events where event_type = 'purchase' and customer_id is not null group by all
        )
        select customer_id, count(*) as orders, sum(worth) as gross_revenue, sum(worth) as net_revenue,
            sum(units) as units, any_value(distinct_products) as distinct_products, 0.0 as return_rate,
            avg((isodow(ordered_at) >= 6)::int) as weekend_order_share,
            avg((hour(ordered_at) >= 18)::int) as evening_order_share,
            0 as visits
        from orders join products using (customer_id) group by customer_id order by customer_id
    """)
    categories = believable.query(f"""
        select customer_id, category, sum(quantity * unit_price) as gross_revenue
        from events join read_parquet('{believable.out}/truth/products.parquet') using (product_id)
        where event_type = 'purchase' and customer_id is not null group by all order by all
    """)
    # Half of the customers have ordered once, and three lines are little evidence of a taste.
    assert train(customers, categories, None).summary.startswith("no clear groups: ")
    # Customers with ten products have shown theirs.
    customers = customers[customers["distinct_products"] >= 10]
    categories = categories[categories["customer_id"].isin(customers["customer_id"])]
    result = train(customers, categories, None)
    assert result.model is not None
    frame = habits(customers, categories, result.model.scaling.habits)
    found = result.model.assign(frame)["persona_id"]
    planted = believable.truth("customers").set_index("customer_id").loc[frame.index, "taste_group"]
    assert adjusted_rand_score(planted, found) > 0.35
