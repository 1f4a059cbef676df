"""Names of the churn model's features, and their topics.

Belongs here: names. Does not belong here: the features of customers (`features`).
"""

# Columns of core.customer_features and of `derive`, by the topic that a reason names.
TOPICS: dict[str, tuple[str, ...]] = {
    "recency": ("recency_days", "recency_by_gap", "overdue", "previous_order_days"),
    "no_purchase": ("no_purchase_log_odds",),
    "frequency": (
        "order_days",
        "orders",
        "orders_30d",
        "orders_90d",
        "orders_180d",
        "orders_365d",
        "order_rate",
    ),
    "season": ("orders_year_ago_90d",),
    "gaps": ("mean_gap_days", "sd_gap_days"),
    "tenure": ("tenure_days",),
    "money": (
        "net_revenue",
        "net_revenue_30d",
        "net_revenue_90d",
        "net_revenue_180d",
        "net_revenue_365d",
        "average_order_value",
    ),
    "products": ("units", "distinct_products"),
    "returns": ("return_rate",),
    "hours": ("weekend_order_share", "evening_order_share"),
    "visits": ("visits", "visits_30d", "views", "carts"),
    "country": ("country",),
}
TOPIC_OF = {column: topic for topic, columns in TOPICS.items() for column in columns}
FEATURES = tuple(TOPIC_OF)
CATEGORIES = ("country",)
DERIVED = ("recency_by_gap", "overdue", "order_rate", "no_purchase_log_odds")
# What the forecast of the base rate and the purchase model read of a customer.
HISTORY = ("as_of", "customer_id", "order_days", "tenure_days", "recency_days")
NEEDED = ("as_of", "customer_id", *(name for name in FEATURES if name not in DERIVED))
