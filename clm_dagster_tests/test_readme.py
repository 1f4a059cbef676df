"""The README says what is so."""

import re

from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.settings import PROJECT_DIR, Settings

README = (PROJECT_DIR / "README.md").read_text()


def test_every_setting_stands_in_the_readme_with_its_default_and_sentence() -> None:
    for name, info in Settings.model_fields.items():
        row = next(line for line in README.splitlines() if line.startswith(f"| `CLM_{name.upper()}` |"))
        assert (info.description or "") in row
        default = str(info.default or "").replace(f"{PROJECT_DIR}/", "")
        assert default in row


def test_every_picture_is_there() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (PROJECT_DIR / picture).stat().st_size > 10_000


def test_every_table_stands_in_the_readme(project: Project) -> None:
    for model in project.models.values():
        assert model.name in README


def test_every_make_target_stands_in_the_readme() -> None:
    makefile = (PROJECT_DIR / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert targets
    for target in set(targets[1].split()) - {"clean"}:
        assert f"make {target}" in README
