"""The files of the project: which are written, and which are never overwritten."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from clm_dagster.domains.report.dashboard.project import (
    RECEIPT,
    DashboardError,
    project_files,
    write_project,
)

PAGES = (
    "index",
    "revenue",
    "customers",
    "segments",
    "lifecycle",
    "cohorts",
    "churn",
    "actions",
    "products",
    "quality",
)


def test_a_project_has_ten_pages_and_a_source_for_each_table(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "dashboard"
    written = write_project(folder)
    texts = project_files()
    assert written == len(texts)
    assert {path: (folder / path).read_text(encoding="utf-8") for path in texts} == texts
    assert {Path(path).stem for path in texts if path.startswith("pages/")} == set(PAGES)
    tables = {Path(path).stem for path in texts if path.startswith("tables/")}
    assert tables == {Path(path).stem for path in texts if re.fullmatch(r"sources/clm/\w+\.sql", path)}
    assert texts["sources/clm/weeks.sql"] == "select * from weeks\n"
    read = set(re.findall(r"clm\.(\w+)", "".join(texts[f"pages/{page}.md"] for page in PAGES)))
    assert read - {"cohorts"} == tables - {"cohorts"} and "cohorts" in tables
    assert [path for path in texts if path.startswith(".")] == [".gitignore", ".npmrc"]


def test_versions_of_packages_are_exact() -> None:
    package = json.loads(project_files()["package.json"])
    versions = {**package["dependencies"], **package["overrides"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values())
    assert all(script.startswith("node evidence.js ") for script in package["scripts"].values())
    assert 'SEND_ANONYMOUS_USAGE_STATS = "no"' in project_files()["evidence.js"]


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DashboardError, match="is not empty; expected a new or empty folder"):
        write_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_force_writes_unchanged_files_again_and_keeps_others(tmp_path: Path) -> None:
    write_project(tmp_path)
    (tmp_path / "pages" / "mine.md").write_text("# Mine")
    (tmp_path / "pages" / "revenue.md").unlink()
    with pytest.raises(DashboardError, match="not empty"):
        write_project(tmp_path)
    write_project(tmp_path, force=True)
    assert (tmp_path / "pages" / "mine.md").read_text() == "# Mine"
    assert (tmp_path / "pages" / "revenue.md").exists()


def test_force_writes_a_file_of_an_older_version_again(tmp_path: Path) -> None:
    write_project(tmp_path)
    page = tmp_path / "pages" / "revenue.md"
    receipt = json.loads((tmp_path / RECEIPT).read_text())
    page.write_text("an older version of the page")
    receipt["pages/revenue.md"] = "a0d3b5a9bd3d9d7a6e"
    (tmp_path / RECEIPT).write_text(json.dumps(receipt))
    with pytest.raises(DashboardError, match=r"pages/revenue\.md"):
        write_project(tmp_path, force=True)
    receipt["pages/revenue.md"] = hashlib.sha256(page.read_bytes()).hexdigest()
    (tmp_path / RECEIPT).write_text(json.dumps(receipt))
    write_project(tmp_path, force=True)
    assert page.read_text(encoding="utf-8") == project_files()["pages/revenue.md"]


def test_force_names_edited_files_and_writes_nothing(tmp_path: Path) -> None:
    write_project(tmp_path)
    edited, gone = tmp_path / "tables" / "weeks.sql", tmp_path / "README.md"
    edited.write_text("select 1")
    gone.unlink()
    with pytest.raises(DashboardError, match=r"1 files .* were edited.*: tables/weeks\.sql\. Nothing was"):
        write_project(tmp_path, force=True)
    assert edited.read_text() == "select 1" and not gone.exists()


def test_force_refuses_files_that_it_did_not_write(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{}")
    with pytest.raises(DashboardError, match=r"package\.json\. Nothing was written"):
        write_project(tmp_path, force=True)
    (tmp_path / RECEIPT).write_text("no json")
    with pytest.raises(DashboardError, match="cannot be read as JSON"):
        write_project(tmp_path, force=True)
