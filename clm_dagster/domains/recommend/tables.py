"""The Python tables of recommendations, in the order of computation.

Belongs here: what each table reads and which functions compute it. Does not: those functions.
"""

from clm_dagster.domains.recommend import checks
from clm_dagster.domains.recommend.baskets import (
    PairSettings,
    RuleSettings,
    add_pair_names,
    find_rules,
    read_pairs,
    read_rules,
)
from clm_dagster.domains.recommend.list_evaluation import BASELINES
from clm_dagster.domains.recommend.listing import ListSettings
from clm_dagster.domains.recommend.queries import AFFINITY, LISTS, POPULAR, RULES, SIMILAR
from clm_dagster.domains.recommend.ranking import RankerSettings
from clm_dagster.domains.recommend.recommendations import read_lists, recommend_to_customers
from clm_dagster.domains.recommend.served import REGISTERED
from clm_dagster.domains.recommend.settings import RecommendSettings
from clm_dagster.domains.recommend.similar import SimilarSettings, find_similar, read_catalogue
from clm_dagster.domains.recommend.training import recommender_model
from clm_dagster.domains.recommend.visitors import read_visitors, recommend_by_country
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.tables import AnyTable, PythonTable
from clm_dagster.platform.trained_models.scoring import ScoreTable
from clm_dagster.settings import Settings


def recommend_tables(project: Project, settings: Settings) -> list[AnyTable]:
    """Return the trained ranker, lists, similar products, and products bought together."""
    own = settings.of(RecommendSettings)
    horizon_days, active_days = own.horizon_days, own.active_days
    ranker = RankerSettings(horizon_days=horizon_days, active_days=active_days)
    lists = ListSettings(own.count, active_days, horizon_days)
    pairs = PairSettings(own.rules_days, own.rules_min_support)
    rules = RuleSettings(own.rules_days, own.rules_min_support, own.rules_min_confidence, horizon_days)
    lines = ("stg_order_lines", "stg_products")
    past = (*lines, "customer_identities")
    visitors_read = (*past, "customer_features")
    recommendations = ScoreTable(
        LISTS,
        REGISTERED,
        BASELINES,
        horizon_days,
        reads=(*past, "customer_features", "rfm_scores"),
        settings=lists,
        read=read_lists,
        score=recommend_to_customers,
        serve_refused=settings.serve_refused_models,
        has_fitted_baseline=False,
        checks=checks.LIST_CHECKS,
        grade_days=horizon_days,
    )
    return [
        recommender_model(ranker).table(project),
        recommendations.table(project),
        PythonTable.of(project, POPULAR, visitors_read, read_visitors, recommend_by_country, lists),
        PythonTable.of(project, SIMILAR, past, read_catalogue, find_similar, SimilarSettings(active_days)),
        PythonTable.of(
            project, AFFINITY, lines, read_pairs, add_pair_names, pairs, checks=checks.RULE_CHECKS
        ),
        PythonTable.of(project, RULES, lines, read_rules, find_rules, rules, checks=checks.RULE_CHECKS),
    ]
