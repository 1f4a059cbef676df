"""Metrics of candidates and of groups in long tables that all trained models share.

Belongs here: `models.candidate_metrics` and `models.group_metrics`, and the check that metric names in SQL exist. Does
not: any metric.

A row is one number: candidate, metric, value and, where available, its interval. A metric of a part of an evaluation
(a period, a list) has a path in its name: `window/next_best/ndcg`. The last part is the metric.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import dagster as dg
import pandas as pd

from clm_dagster.platform.assets.node_assets import spec_without_step
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.naming import asset_key
from clm_dagster.platform.python_tables.output import SideRows
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.settings import Settings

CANDIDATE_METRICS, GROUP_METRICS = "models.candidate_metrics", "models.group_metrics"
_NUMBERS = ("value", "low", "high")
_METRIC_CALL = re.compile(r"\bmetric(?:_low|_high)?\(\s*'([^']*)'")


class Interval(Protocol):
    """A value with the bounds of its interval."""

    @property
    def value(self) -> float:
        """The value."""

    @property
    def low(self) -> float:
        """The lower bound."""

    @property
    def high(self) -> float:
        """The upper bound."""


@dataclass(frozen=True)
class Metric:
    """One number of one candidate, for one group of customers or products if a dimension is set."""

    candidate: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    dimension: str = ""
    group_name: str = ""


def metrics_of(
    candidate: str,
    values: Mapping[str, float | Interval | None],
    path: str = "",
    dimension: str = "",
    group_name: str = "",
) -> list[Metric]:
    """Return the metrics of one candidate. A value is a number or has an interval (value, low, high)."""
    rows = []
    for name, value in values.items():
        full = f"{path}/{name}" if path else name
        if value is None or isinstance(value, int | float):
            rows.append(Metric(candidate, full, value, None, None, dimension, group_name))
        else:
            rows.append(Metric(candidate, full, value.value, value.low, value.high, dimension, group_name))
    return rows


def ten_decimals(value: float) -> float | None:
    """Return a number with the decimals that pandas' JSON stored in earlier versions, None if it is missing."""
    return None if pd.isna(value) else float(f"{value:.10f}")


def flat(values: Mapping[str, Mapping[str, float] | Interval | float]) -> dict[str, float]:
    """Return metrics as a flat dict for MLflow: `test/roc_auc`, and three entries for an interval."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, int | float):
            found[name] = value
        elif isinstance(value, Mapping):
            found |= {f"{name}/{inner}": number for inner, number in value.items()}
        else:
            found |= {f"{name}/value": value.value, f"{name}/low": value.low, f"{name}/high": value.high}
    return found


def side_rows(
    project: Project,
    owner: str,
    metrics: Sequence[Metric],
    names: Sequence[str],
    group_names: Sequence[str] = (),
) -> list[SideRows]:
    """Return the rows of both tables for one training of the model `owner`.

    names: the metrics that the model declares. group_names: those of them that only groups have; a shop whose customers
    are in no groups has none of them. Raise ProjectError if `metrics` has other names, so that a renamed metric is an
    error and not a null in a table.
    """
    found = {metric.metric.rpartition("/")[2] for metric in metrics}
    expected = set(names)
    if not any(metric.dimension for metric in metrics):
        expected -= set(group_names)
    if metrics and found != expected:
        new, gone = sorted(found - set(names)), sorted(expected - found)
        raise ProjectError(
            f"{owner}: its evaluation returns {f'the undeclared metrics {new}' if new else ''}"
            f"{' and ' if new and gone else ''}{f'not the declared metrics {gone}' if gone else ''}. Correct "
            "`metrics` of its TrainedModel, and the SQL that reads them by name."
        )
    return [
        SideRows(
            project.sources[CANDIDATE_METRICS], owner, _frame([m for m in metrics if not m.dimension], False)
        ),
        SideRows(project.sources[GROUP_METRICS], owner, _frame([m for m in metrics if m.dimension], True)),
    ]


def _frame(metrics: Sequence[Metric], grouped: bool) -> pd.DataFrame:
    names = [*(("dimension", "group_name") if grouped else ()), "candidate", "metric", *_NUMBERS]
    frame = pd.DataFrame([[getattr(m, name) for name in names] for m in metrics], columns=names)
    return frame.astype(dict.fromkeys(_NUMBERS, float))


def metric_specs(project: Project, settings: Settings, tables: Sequence[AnyTable]) -> list[dg.AssetSpec]:
    """Return asset specs of the two tables. They have no step of their own: every training writes its rows.

    Raise ProjectError if SQL reads a metric that no training writes.
    """
    check_metric_names(project, {table.relation: table.metrics for table in tables})
    trained = [asset_key(settings, table.relation) for table in tables if table.is_trained]
    return [
        spec_without_step(project.sources[name], settings, trained, "with_trainings")
        for name in (CANDIDATE_METRICS, GROUP_METRICS)
    ]


def check_metric_names(project: Project, declared: Mapping[str, Iterable[str]]) -> None:
    """Check that the trained models declare all metrics that SQL reads.

    declared: model (`models.churn_model`) -> names of its metrics. Raise ProjectError, with file and line, for a name
    that none of the models read by the SQL declares.
    """
    for model in project.models.values():
        if not {CANDIDATE_METRICS, GROUP_METRICS} & set(model.refs):
            continue
        known = {name for ref in model.refs for name in declared.get(ref, ())}
        for number, line in enumerate(model.sql.splitlines(), 1):
            for name in _METRIC_CALL.findall(line):
                if name not in known:
                    raise ProjectError(
                        f"{model.path}:{number}: no trained model that it reads declares the metric {name!r}; "
                        f"declared metrics: {', '.join(sorted(known)) or 'none'}"
                    )
