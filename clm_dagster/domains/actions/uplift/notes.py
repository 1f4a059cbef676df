"""Metadata, plots and MLflow runs of a training of the uplift model.

Belongs here: texts and plots. Does not: anything that table rows depend on (`report`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from hashlib import sha256

from clm_dagster.domains.actions.uplift.contest import ArmResult, Candidate, UpliftResult
from clm_dagster.domains.actions.uplift.names import BASELINES
from clm_dagster.domains.actions.uplift.plots import FORMULA, drawings
from clm_dagster.domains.actions.uplift.report import facts_of
from clm_dagster.domains.actions.uplift.sample import Sample
from clm_dagster.domains.actions.uplift.table_settings import UpliftSettings
from clm_dagster.domains.actions.uplift.values import PolicyResult, policy_results
from clm_dagster.platform.markdown import bold, markdown_table
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.trained_models.metrics import flat
from clm_dagster.platform.trained_models.training import CandidateRun, Notes
from clm_dagster.statistics.evaluation import Difference
from clm_dagster.statistics.uplift import uplift_by_decile

# MLflow refuses other characters in the name of a metric or a parameter, dots that a path could go up by, and names of
# more than 250 characters.
_UNNAMED = re.compile(r"^\.+|[^\w\-. ]")
_LONGEST, _OF_HASH = 100, 8


def notes(work: Work[UpliftSettings], inputs: Sample, result: UpliftResult) -> Notes:
    """Return the metadata and MLflow content of a training."""
    values = {name: policy_results(arm) for name, arm in result.arms.items()}
    names = plain_names(result.arms)
    return Notes(
        evaluated=" ".join(
            [_evaluated(name, arm) for name, arm in result.arms.items()]
            + [f"{reason}." for reason in result.skipped.values()]
        ),
        parameters={
            "horizon_days": work.settings.horizon_days,
            "contacts": len(inputs.contacts),
            "campaigns": int(inputs.contacts["campaign_id"].nunique()),
            **{
                f"{names[name]}/{key}": value
                for name, arm in result.arms.items()
                for key, value in (
                    ("winner", arm.model.winner),
                    ("split", arm.split.how),
                    ("tested_from", arm.split.tested_from),
                    ("slope", f"{arm.model.slope:.4f}"),
                )
            },
        },
        metrics={
            f"{names[name]}/{metric}": value
            for name, arm in result.arms.items()
            for metric, value in {**_metrics(arm.winner), "average_effect": arm.model.average}.items()
        },
        documents={
            "evaluation.json": {
                "formula": FORMULA,
                "arms": {name: facts_of(arm) for name, arm in result.arms.items()},
                "skipped": dict(result.skipped),
                "policies": {name: [asdict(one) for one in found] for name, found in values.items()},
                "deciles": {
                    name: uplift_by_decile(
                        arm.effects[arm.model.winner], arm.split.test.treatment, arm.split.test.outcome
                    ).to_dict("records")
                    for name, arm in result.arms.items()
                },
            }
        },
        drawings=drawings(result.arms),
        tables={
            "evaluation": f"{_contest_table(result)}\n\n{FORMULA}",
            "policies": _policy_table(values),
        },
        facts={
            "campaigns_without_planned_shares": len(inputs.unusable),
            "arms_without_enough_contacts": len(result.skipped),
        },
    )


def plain_names(arms: Iterable[str]) -> dict[str, str]:
    """Return the names of arms as MLflow takes them in the name of a metric, each of them once.

    A name that is cut, or that others have after the replacement, ends with the start of a hash of the arm.
    """
    plain = {arm: _UNNAMED.sub("_", arm) for arm in arms}
    counts = Counter(plain.values())
    return {
        arm: name
        if counts[name] == 1 and len(name) <= _LONGEST
        else f"{name[:_LONGEST]}-{sha256(arm.encode()).hexdigest()[:_OF_HASH]}"
        for arm, name in plain.items()
    }


def candidate_runs(
    work: Work[UpliftSettings], inputs: Sample, result: UpliftResult
) -> Iterator[CandidateRun]:
    """Yield every candidate of every arm."""
    for name, arm in result.arms.items():
        for one in arm.candidates.values():
            yield CandidateRun(
                f"{name} {one.name}",
                {
                    "arm": name,
                    "is_baseline": one.name in BASELINES,
                    "is_winner": one.name == arm.model.winner,
                },
                _metrics(one),
            )


def _metrics(one: Candidate) -> dict[str, float]:
    """Return the metrics of a candidate by their MLflow names."""
    validation = {} if one.validation is None else {"validation/qini": one.validation}
    return validation | flat(
        {
            "test/qini": one.test.area,
            "test/qini_over_response": one.test.over_reference,
            "seconds": one.seconds,
        }
    )


def _evaluated(name: str, arm: ArmResult) -> str:
    training, test = arm.split.training.counts(), arm.split.test.counts()
    return (
        f"{name}: {len(arm.candidates)} candidates, trained on {_contacts(training)}, tested on {_contacts(test)} of "
        f"{arm.split.how}, from {arm.split.tested_from}."
    )


def _contacts(counts: dict[str, int]) -> str:
    return f"{counts['contacts_treated']:,} contacts and {counts['contacts_control']:,} of the control"


def _contest_table(result: UpliftResult) -> str:
    """Return the contest as a markdown table, best validation first."""
    return markdown_table(
        ("arm", "candidate", "Qini area, training part", "Qini area, test", "over response", "s"),
        (
            (
                name,
                bold(one.name) if one.name == arm.model.winner else one.name,
                "" if one.validation is None else f"{one.validation:.1f}",
                _words(one.test.area),
                _words(one.test.over_reference),
                f"{one.seconds:.1f}",
            )
            for name, arm in result.arms.items()
            for one in sorted(
                arm.candidates.values(),
                key=lambda one: -1e9 if one.validation is None else one.validation,
                reverse=True,
            )
        ),
    )


def _policy_table(values: dict[str, list[PolicyResult]]) -> str:
    """Return the values of policies as a markdown table."""
    return markdown_table(
        ("arm", "who is contacted", "share", "additional orders per customer", "by inverse propensity"),
        (
            (name, one.policy, f"{one.contacted:.0%}", str(one.doubly_robust), str(one.weighted))
            for name, found in values.items()
            for one in found
        ),
    )


def _words(value: Difference) -> str:
    return f"{value.value:.1f} [{value.low:.1f}, {value.high:.1f}]"
