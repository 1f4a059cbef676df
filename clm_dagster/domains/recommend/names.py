"""Names that the definitions of recommendations and their computations share: tables, metrics, naive baselines.

Belongs here: names. Does not: names of checks (`checks`).
"""

MODEL = "models.recommender_model"
LISTS, POPULAR, SIMILAR = "marts.recommendations", "marts.popular_products", "marts.similar_products"
AFFINITY, RULES = "marts.product_affinity", "marts.basket_rules"
# The naive baseline that serves each list without a champion, and that a model must beat.
BASELINES = {"next_best": "buy_again", "discover": "popularity"}
# Metrics of a list.
LIST_METRICS = ("ndcg", "recall", "hit")
# Metrics that a training stores.
METRICS = (
    *LIST_METRICS,
    "coverage",
    "novelty",
    "customers",
    "is_ranker",
    "is_baseline",
    "ndcg_over_baseline",
    "seconds",
)
