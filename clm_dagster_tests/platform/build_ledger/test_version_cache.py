"""A version is computed once for a source, and anew after any source file changed."""

import json
from pathlib import Path

import pytest

from clm_dagster.platform import user_cache
from clm_dagster.platform.build_ledger import version_cache
from clm_dagster.platform.build_ledger.version_cache import known_version


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, read anew."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _forget()
    return tmp_path / "cache" / "clm_dagster"


def _forget() -> None:
    """Do what a new process does."""
    version_cache._read.cache_clear()
    version_cache._source.cache_clear()


def _never() -> str:
    raise AssertionError("computed although it is known")


def _asked(package: str, request: str, version: str) -> str:
    return known_version(package, request, lambda: version)


def _package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (folder / "some_shop").mkdir()
    (folder / "some_shop" / "__init__.py").write_text("")
    (folder / "some_shop" / "rows.py").write_text("LIMIT = 1\n")
    monkeypatch.syspath_prepend(str(folder))
    __import__("some_shop")
    return "some_shop"


def test_a_version_is_computed_once_and_anew_after_an_edit(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = _package(tmp_path, monkeypatch)
    assert _asked(package, "a", "1") == "1"
    assert _asked(package, "b", "2") == "2"
    _forget()
    assert known_version(package, "a", _never) == "1"
    assert known_version(package, "b", _never) == "2"
    (tmp_path / "some_shop" / "rows.py").write_text("LIMIT = 2\n")
    _forget()
    assert _asked(package, "a", "3") == "3"


def test_a_damaged_file_counts_as_none(cache: Path) -> None:
    assert _asked("clm_dagster", "a", "1") == "1"
    (file,) = cache.glob("code_versions-*.json")
    assert list(json.loads(file.read_text())["versions"].values()) == ["1"]
    file.write_text('{"source": ')
    _forget()
    assert _asked("clm_dagster", "a", "2") == "2"


def test_without_a_folder_versions_are_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert user_cache.user_cache() is None
    assert _asked("clm_dagster", "a", "1") == "1"
    assert _asked("clm_dagster", "a", "2") == "2"
