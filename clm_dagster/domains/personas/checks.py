"""Checks of the persona tables.

Belongs here: check names, descriptions and results. Does not belong here: the measures themselves (`model`).
"""

import dagster as dg

from clm_dagster.domains.personas.model import TrainingResult
from clm_dagster.platform.trained_models.checks import warn
from clm_dagster.statistics.clustering import CLEAR, STABLE

STABILITY, TASTES, COVERAGE = "personas_are_stable", "categories_are_known", "a_model_was_trained_by_then"


TRAINING = {
    STABILITY: "The customers have clear groups: k-means on resampled customers finds the same (Rand index >= "
    f"{STABLE:g}), the silhouette is at least {CLEAR:g}, and no group is tiny.",
    TASTES: "Products have categories, so that personas can include category shares.",
}
ASSIGNMENT = {COVERAGE: "A model was trained at or before as_of; otherwise the table has no rows."}


def check_training(result: TrainingResult, has_categories: bool, snapshot: str) -> list[dg.AssetCheckResult]:
    """Return the results of the checks of a training."""
    stability = result.choice.at(result.choice.stability) if result.choice else None
    stable = stability is not None and stability >= STABLE
    return [
        warn(STABILITY, stable, f"{snapshot}: {result.summary}"),
        warn(
            TASTES,
            has_categories,
            f"{snapshot}: category shares are among the habits"
            if has_categories
            else f"{snapshot}: no product has a category (raw.products), so personas use the other habits only",
        ),
    ]


def check_coverage(covered: bool, snapshot: str) -> list[dg.AssetCheckResult]:
    """Return the result of the check of an assignment."""
    return [
        warn(
            COVERAGE,
            covered,
            f"{snapshot}: assigned"
            if covered
            else f"{snapshot}: no persona model was trained at or before this snapshot, so it has no personas; "
            "materialize models/persona_model for this snapshot or an earlier one",
        )
    ]
