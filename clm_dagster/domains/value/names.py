"""Names that the definitions of customer value and its computations share: tables, metrics, naive baselines.

Belongs here: names. Does not belong here: names of checks (`checks`).
"""

MODEL, VALUE, WEEKLY = "models.value_model", "marts.customer_value", "marts.value_expectations"
# The naive baselines that a champion must beat: projections of past spend, not scaled to the forecast level.
BASELINES = ("past_rate", "lifetime_rate", "last_period")
OWN_PAST = "past_rate"
# Test metrics of the winner that the table stores.
STORED_TEST_METRICS = ("bias", "mae", "rmse", "spearman", "gini", "catch", "best_catch")
METRICS = (
    *STORED_TEST_METRICS,
    "is_baseline",
    "seconds",
    "validation_score",
    "bias_before",
    f"mae_over_{OWN_PAST}",
    f"catch_over_{OWN_PAST}",
)

# The columns of core.customer_features that a fit of the purchase model depends on.
FITTED = ("order_days", "tenure_days", "recency_days", "net_revenue", "orders")
# What the purchase model and the level of a snapshot read of a customer.
HISTORY = ("as_of", "customer_id", *FITTED)
