"""What the personas' checks say, in words."""

import dagster as dg

from clm_dagster.domains.personas.model import Trained
from clm_dagster.platform.trained_models.checks import warn
from clm_dagster.statistics.clustering import STABLE

STABILITY, TASTES, COVERAGE = "personas_are_stable", "categories_are_known", "a_model_was_trained_by_then"


TRAINING = {
    STABILITY: f"K-means on resampled customers finds the same personas (Rand index >= {STABLE:g}).",
    TASTES: "Products have categories, so personas know tastes.",
}
ASSIGNMENT = {COVERAGE: "There is a model that was trained at or before as_of; else the table has no rows."}


def check_training(trained: Trained, has_categories: bool, as_of: str) -> list[dg.AssetCheckResult]:
    """Results of the checks of a training."""
    stability = trained.choice.at(trained.choice.stability) if trained.choice else None
    stable = stability is not None and stability >= STABLE
    return [
        warn(STABILITY, stable, f"{as_of}: {trained.said}"),
        warn(
            TASTES, has_categories,
            f"{as_of}: category shares are among the habits" if has_categories
            else f"{as_of}: no product has a category (raw.products): personas are made of the other habits",
        ),
    ]  # fmt: skip


def check_coverage(covered: bool, as_of: str) -> list[dg.AssetCheckResult]:
    """The result of the check of an assignment."""
    return [
        warn(
            COVERAGE, covered,
            f"{as_of}: assigned" if covered
            else f"{as_of}: no persona model was trained at or before it, so it has no personas; materialize "
            "models/persona_model for this snapshot or an earlier one",
        )
    ]  # fmt: skip
