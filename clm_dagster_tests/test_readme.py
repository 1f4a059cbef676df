"""The README is short: a description, an image, two commands, their output, and links."""

import re

from clm_dagster.settings import PROJECT_DIR

README = (PROJECT_DIR / "README.md").read_text()
CONTRIBUTING = (PROJECT_DIR / "CONTRIBUTING.md").read_text()


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200


def test_the_images_of_the_readme_are_images() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (PROJECT_DIR / picture).stat().st_size > 10_000


def test_the_readme_links_every_part_of_the_documentation() -> None:
    parts = [path for path in (PROJECT_DIR / "docs").glob("*.md") if path.name != "index.md"]
    parts += (PROJECT_DIR / "docs").glob("*/index.md")
    for path in parts:
        assert f"({path.relative_to(PROJECT_DIR)})" in README


def test_every_make_target_is_documented() -> None:
    makefile = (PROJECT_DIR / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert targets
    for target in set(targets[1].split()) - {"clean"}:
        assert f"make {target}" in README + CONTRIBUTING
