"""Names that the definitions of demand and its computations share: tables, periods, metrics, naive baselines.

Belongs here: names. Does not: names of checks (`checks`) or methods (`panel_methods`, `local_methods`).
"""

MODEL = "models.demand_model"
FORECASTS = "marts.demand_forecasts"
DAY, WEEK = "day", "week"
MEASURES = ("mase", "rmsse", "smape", "wape", "bias")
# Naive methods that are always in the evaluation.
BASELINES = ("seasonal_naive", "eight_week_mean")
# The one that a policy must beat, and that serves without a champion.
BASELINE = BASELINES[1]
BANDS = ("coverage_80", "coverage_95", "interval_score_80", "interval_score_95")
METRICS = ("series", *MEASURES, *BANDS)
