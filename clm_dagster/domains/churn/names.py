"""Names that the definitions of churn and its computations share: tables, metrics, the naive baseline.

Belongs here: names. Does not belong here: names of features (`feature_names`), checks (`checks`).
"""

MODEL, SCORES, DRIFT = "models.churn_model", "marts.churn_scores", "marts.feature_drift"
VALUE = "marts.customer_value"
# The naive baseline: customers in order of their recency.
RECENCY = "recency"
# Test metrics of the winner that the table stores. marts.churn_scorecard compares later scores with them.
STORED_TEST_METRICS = (
    "roc_auc",
    "brier",
    "log_loss",
    "calibration_error",
    "lift_at_10",
    "base_rate",
    "mean_probability",
)
TEST_METRICS = (
    "roc_auc",
    "average_precision",
    "brier",
    "log_loss",
    "calibration_error",
    "precision",
    "recall",
    "f1",
    "lift_at_10",
)
# Only groups of customers have these.
GROUP_METRICS = ("customers", "mean_probability", "base_rate", "calibration_gap")
METRICS = (
    *TEST_METRICS,
    "exact_reasons",
    "seconds",
    "validation_log_loss",
    "calibration_error_before",
    "auc_over_recency",
    "auc_over_winner",
    "race_log_loss",
    "is_dropped",
    *GROUP_METRICS,
)
# The topic of rows for all features together, and the features that such rows name.
ALL_FEATURES, SCORE, MISSING = "all_features", "score", "missing_values"
