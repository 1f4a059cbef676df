"""The Python tables of recommendations, in the order of computation.

Belongs here: what each table reads and which functions compute it. Does not: those functions.
"""

from typing import TYPE_CHECKING

from clm_dagster.domains.recommend import checks
from clm_dagster.domains.recommend.names import (
    AFFINITY,
    BASELINES,
    LISTS,
    METRICS,
    POPULAR,
    RULES,
    SIMILAR,
)
from clm_dagster.domains.recommend.registered import REGISTERED
from clm_dagster.domains.recommend.settings import RecommendSettings
from clm_dagster.domains.recommend.table_settings import (
    ListSettings,
    PairSettings,
    RankerSettings,
    RuleSettings,
    SimilarSettings,
)
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.python_tables.tables import AnyTable, PythonTable
from clm_dagster.platform.trained_models.scoring import ScoreTable
from clm_dagster.platform.trained_models.snapshots import weeks_to_mature
from clm_dagster.platform.trained_models.training import Gate, TrainedModel
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from clm_dagster.domains.recommend.baskets import add_pair_names, find_rules, read_pairs, read_rules
    from clm_dagster.domains.recommend.evaluate import EvaluationResult
    from clm_dagster.domains.recommend.notes import candidate_runs, notes
    from clm_dagster.domains.recommend.ranking import Ranker
    from clm_dagster.domains.recommend.recommendations import read_lists, recommend_to_customers
    from clm_dagster.domains.recommend.similar import find_similar, read_catalogue
    from clm_dagster.domains.recommend.training import (
        TrainingInputs,
        evaluate,
        read_training,
        report,
        sample_of,
        verdict,
    )
    from clm_dagster.domains.recommend.visitors import read_visitors, recommend_by_country
else:
    add_pair_names, find_rules, read_pairs, read_rules = late_functions(
        "clm_dagster.domains.recommend.baskets", "add_pair_names", "find_rules", "read_pairs", "read_rules"
    )
    candidate_runs, notes = late_functions("clm_dagster.domains.recommend.notes", "candidate_runs", "notes")
    read_lists, recommend_to_customers = late_functions(
        "clm_dagster.domains.recommend.recommendations", "read_lists", "recommend_to_customers"
    )
    find_similar, read_catalogue = late_functions(
        "clm_dagster.domains.recommend.similar", "find_similar", "read_catalogue"
    )
    evaluate, read_training, report, sample_of, verdict = late_functions(
        "clm_dagster.domains.recommend.training",
        "evaluate",
        "read_training",
        "report",
        "sample_of",
        "verdict",
    )
    read_visitors, recommend_by_country = late_functions(
        "clm_dagster.domains.recommend.visitors", "read_visitors", "recommend_by_country"
    )


def recommend_tables(project: Project, settings: Settings) -> list[AnyTable]:
    """Return the trained ranker, lists, similar products, and products bought together."""
    own = settings.of(RecommendSettings)
    horizon_days, active_days = own.horizon_days, own.active_days
    ranker = RankerSettings(
        horizon_days=horizon_days, active_days=active_days, train_customers=own.train_customers
    )
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


def recommender_model(
    settings: RankerSettings,
) -> "TrainedModel[RankerSettings, TrainingInputs, EvaluationResult, Ranker]":
    """Return the trained model. Its gate compares it with naive baselines, not with the previous champion."""
    return TrainedModel(
        registered=REGISTERED,
        reads=("stg_order_lines", "stg_products", "customer_identities", "rfm_scores"),
        weeks_back=(weeks_to_mature(settings.horizon_days),),
        settings=settings,
        horizon_days=settings.horizon_days,
        read=read_training,
        sample=sample_of,
        evaluate=evaluate,
        report=report,
        notes=notes,
        candidates=candidate_runs,
        baseline=BASELINES["next_best"],
        gate=Gate(checks.GATE, verdict),
        metrics=METRICS,
        without_model=". Until there is a model, naive baselines make the lists: buy_again and popularity.",
        carries_over=False,
    )
