"""Names that the definitions of the uplift model and its computations share.

Belongs here: tables, metrics, candidates, columns. Does not: anything computed.
"""

MODEL, SCORES = "models.uplift_model", "marts.uplift_scores"
# Serves where no model passed its gate: the mean effect of the arm, the same for every customer.
AVERAGE = "average_effect"
# Rankings that a learner must beat.
RESPONSE, RANDOM = "response", "random"
BASELINES = (RESPONSE, RANDOM)
METRICS = ("qini", "qini_over_response", "validation_qini", "is_baseline", "seconds")
# Columns of core.customer_features that the model reads: counts and money as logarithms, shares as they are.
COUNTS = (
    "recency_days",
    "tenure_days",
    "previous_order_days",
    "order_days",
    "orders",
    "orders_30d",
    "orders_90d",
    "orders_180d",
    "orders_365d",
    "mean_gap_days",
    "sd_gap_days",
    "units",
    "distinct_products",
    "visits",
    "visits_30d",
    "views",
    "carts",
)
MONEY = (
    "net_revenue",
    "net_revenue_90d",
    "net_revenue_365d",
    "gross_revenue",
    "discounts",
    "average_order_value",
)
SHARES = ("return_rate", "weekend_order_share", "evening_order_share")
NUMBERS = (*COUNTS, *MONEY, *SHARES)
CATEGORIES = ("country", "acquisition_channel")
INPUTS = (*NUMBERS, *CATEGORIES)
