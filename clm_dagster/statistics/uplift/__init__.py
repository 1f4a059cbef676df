"""Uplift: the effect of a treatment on each customer, learnt and judged on randomised trials.

Belongs here: meta-learners, choices between them, their evaluation, values of policies, the gate. Does not: campaigns,
tables, assets.

    learner = DRLearner().fit(features, treatment, outcome)
    rankings = {"dr_learner": learner.predict(later), "response": response}
    found = qini_intervals(rankings, later_treatment, later_outcome, reference="response")
    uplift_verdict("dr_learner", found["dr_learner"])
"""

from typing import TYPE_CHECKING

from clm_dagster.statistics.late_names import late_names

if TYPE_CHECKING:
    from clm_dagster.statistics.uplift.evaluation import (
        QiniInterval,
        UpliftCurve,
        qini_area,
        qini_coefficient,
        qini_intervals,
        uplift_by_decile,
        uplift_curve,
    )
    from clm_dagster.statistics.uplift.gates import uplift_verdict
    from clm_dagster.statistics.uplift.learners import (
        DRLearner,
        Learner,
        RLearner,
        SLearner,
        TLearner,
        TransformedOutcome,
        XLearner,
        doubly_robust_effects,
    )
    from clm_dagster.statistics.uplift.policies import (
        PolicyValue,
        doubly_robust_scores,
        policy_difference,
        policy_value,
        top_share,
        weighted_scores,
    )
    from clm_dagster.statistics.uplift.selection import (
        AveragedLearner,
        Candidate,
        Selection,
        select_learner,
    )
    from clm_dagster.statistics.uplift.trials import Trial, UpliftError, folds_of
else:
    __getattr__ = late_names(
        __name__,
        {
            "evaluation": "QiniInterval UpliftCurve qini_area qini_coefficient qini_intervals uplift_by_decile "
            "uplift_curve",
            "gates": "uplift_verdict",
            "learners": "DRLearner Learner RLearner SLearner TLearner TransformedOutcome XLearner "
            "doubly_robust_effects",
            "policies": "PolicyValue doubly_robust_scores policy_difference policy_value top_share weighted_scores",
            "selection": "AveragedLearner Candidate Selection select_learner",
            "trials": "Trial UpliftError folds_of",
        },
    )

__all__ = [
    "AveragedLearner",
    "Candidate",
    "DRLearner",
    "Learner",
    "PolicyValue",
    "QiniInterval",
    "RLearner",
    "SLearner",
    "Selection",
    "TLearner",
    "TransformedOutcome",
    "Trial",
    "UpliftCurve",
    "UpliftError",
    "XLearner",
    "doubly_robust_effects",
    "doubly_robust_scores",
    "folds_of",
    "policy_difference",
    "policy_value",
    "qini_area",
    "qini_coefficient",
    "qini_intervals",
    "select_learner",
    "top_share",
    "uplift_by_decile",
    "uplift_curve",
    "uplift_verdict",
    "weighted_scores",
]
