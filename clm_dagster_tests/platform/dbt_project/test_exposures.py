"""Exposures: reading them, and errors with file and line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clm_dagster.platform.dbt_project.project import load_project
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError

Folder = Callable[[dict[str, str]], Path]
EXPOSURE = """\
exposures:
  - name: report
    label: The report
    type: dashboard
    maturity: high
    owner: {name: marketing}
    description: >
      What people
      read.
    depends_on:
      - ref('a')
      - source('raw', 'clicks')
"""
OTHERS = {
    "models/a.sql": "select 1 as k",
    "models/a.yml": "sources: [{name: raw, tables: [{name: clicks}]}]",
}


def test_an_exposure_names_its_owner_and_tables(folder: Folder) -> None:
    project = load_project(folder(OTHERS | {"models/report.yml": EXPOSURE}))
    (found,) = project.exposures_of("a")
    assert (found.name, found.label, found.kind, found.owner) == (
        "report",
        "The report",
        "dashboard",
        "marketing",
    )
    assert (found.description, found.maturity, list(found.reads)) == (
        "What people read.",
        "high",
        ["a", "raw.clicks"],
    )
    assert project.exposures_of("raw.clicks") == [found]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ref('a')", "ref('b')", r"report\.yml:11: unknown model or seed 'b'"),
        ("'clicks'", "'taps'", r"report\.yml:12: unknown source 'raw\.taps'"),
        ("ref('a')", "a", r"report\.yml:11: depends_on is 'a'; expected ref\('model'\) or source"),
        (
            "dashboard",
            "poster",
            r"report\.yml:4: type is 'poster'; expected one of dashboard, notebook, analysis, ml",
        ),
        ("high", "ripe", r"report\.yml:5: maturity is 'ripe'; expected one of high, medium, low"),
        (
            "{name: marketing}",
            "{team: marketing}",
            r"report\.yml:6: unknown key 'team'; known keys: email, name",
        ),
        ("    maturity", "    ripeness", r"report\.yml:5: unknown key 'ripeness'"),
        ("name: report", "name: my report", r"report\.yml:2: name is 'my report'; expected letters"),
        ("    type: dashboard\n", "", r"report\.yml:2: 'type' is missing"),
    ],
)
def test_an_invalid_exposure_is_an_error_with_its_line(
    old: str, new: str, message: str, folder: Folder
) -> None:
    assert old in EXPOSURE
    with pytest.raises(ProjectError, match=message):
        load_project(folder(OTHERS | {"models/report.yml": EXPOSURE.replace(old, new, 1)}))
