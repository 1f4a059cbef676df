"""Metrics in long tables: a renamed metric is an error in Python and in SQL."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clm_dagster.platform.dbt_project.project import Project, load_project
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.trained_models.metrics import check_metric_names, metrics_of, side_rows
from clm_dagster.statistics.evaluation import Difference

SOURCES = """
sources:
  - name: models
    tables:
      - {name: candidate_metrics, config: {meta: {dagster: {partitions: snapshot}}}}
      - {name: toy_model, config: {meta: {dagster: {partitions: snapshot}}}}
"""
SQL = """select as_of,
{{ metric('auc') }} as auc, {{ metric_low('gain') }} as low
from {{ source('models', 'candidate_metrics') }} join {{ source('models', 'toy_model') }} using (as_of) group by 1
"""
MACROS = """{% macro metric(name) %}max(value) filter (where metric = '{{ name }}'){% endmacro %}
{% macro metric_low(name) %}max(low) filter (where metric = '{{ name }}'){% endmacro %}"""


def test_rows_have_candidate_metric_and_interval(project: Project) -> None:
    found = metrics_of("a", {"auc": 0.7, "gain": Difference(0.1, 0.0, 0.2), "none": None}, path="day")
    found += metrics_of("a", {"auc": 0.6}, dimension="country", group_name="FR")
    candidates, groups = side_rows(project, "models.toy", found, ("auc", "gain", "none"))
    assert candidates.rows[["metric", "value", "low", "high"]].astype(object).where(
        candidates.rows.notna(), None
    ).to_numpy().tolist()[:2] == [["day/auc", 0.7, None, None], ["day/gain", 0.1, 0.0, 0.2]]
    assert groups.rows[["dimension", "group_name", "value"]].to_numpy().tolist() == [["country", "FR", 0.6]]


def test_undeclared_and_missing_metrics_are_errors(project: Project) -> None:
    found = metrics_of("a", {"auc": 0.7})
    with pytest.raises(ProjectError, match=r"models.toy: .*undeclared metrics \['auc'\] and not .*\['roc'\]"):
        side_rows(project, "models.toy", found, ("roc",))
    assert side_rows(project, "models.toy", [], ("roc",))[0].rows.empty  # no model was trained


def test_a_shop_without_groups_has_no_metrics_of_groups(project: Project) -> None:
    found = metrics_of("a", {"auc": 0.7})
    candidates, groups = side_rows(project, "models.toy", found, ("auc", "size"), ("size",))
    assert len(candidates.rows) == 1 and groups.rows.empty
    found += metrics_of("a", {"auc": 0.6}, dimension="country", group_name="FR")
    with pytest.raises(ProjectError, match=r"not the declared metrics \['size'\]"):
        side_rows(project, "models.toy", found, ("auc", "size"), ("size",))


def test_an_unknown_metric_in_sql_is_an_error_with_its_line(
    folder: Callable[[dict[str, str]], Path],
) -> None:
    files = {"models/sources.yml": SOURCES, "models/card.sql": SQL, "macros/metric.sql": MACROS}
    tiny = load_project(folder(files))
    check_metric_names(tiny, {"models.toy_model": ("auc", "gain")})
    with pytest.raises(ProjectError, match=r"card.sql:2: no trained model .* declares the metric 'gain'"):
        check_metric_names(tiny, {"models.toy_model": ("auc",), "models.other_model": ("gain",)})
