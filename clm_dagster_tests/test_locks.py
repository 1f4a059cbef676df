"""The two lock files: the same versions, but for DuckDB and what needs one version of it."""

from clm_dagster.settings import PROJECT_DIR

# DuckDB 2.0 has no extensions in packages yet, and DuckLake is one. Spark is compared with the newest DuckDB.
ONLY_TEAM = {"duckdb-extension-ducklake", "duckdb-extension-httpfs", "duckdb-extension-postgres-scanner"}
ONLY_DEFAULT = {"py4j", "pyspark"}


def pins(name: str) -> dict[str, str]:
    lines = (PROJECT_DIR / name).read_text().splitlines()
    return {package: version for package, _, version in (line.partition("==") for line in lines)}


def test_the_lock_files_differ_in_duckdb_only() -> None:
    default, team = pins("requirements.lock"), pins(".ci/requirements-team.lock")
    assert default.keys() - team.keys() == ONLY_DEFAULT
    assert team.keys() - default.keys() == ONLY_TEAM
    assert {name for name in default.keys() & team.keys() if default[name] != team[name]} == {"duckdb"}
    assert {team[name] for name in ONLY_TEAM} == {team["duckdb"]}
