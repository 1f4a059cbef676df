# Each target is a few plain commands; docs/getting-started.md shows them for use without make.
PYTHON ?= python3
# uv takes seconds where pip takes minutes; `make setup UV=` uses pip.
UV ?= $(shell command -v uv)
BIN := .venv/bin
CLM := $(BIN)/clm
export DAGSTER_DISABLE_TELEMETRY := true

.PHONY: setup run demo dev test test-all team test-team peers lint docs bench clean

# $(call environment,folder,lock file): a new environment with exactly the versions of a lock file, and this project.
ifneq ($(UV),)
define environment
	$(UV) venv --quiet --seed --allow-existing --python $(PYTHON) $(1)
	$(UV) pip install --quiet --python $(1)/bin/python -r $(2)
	$(UV) pip install --quiet --python $(1)/bin/python --no-deps -e .
	touch $@
endef
else
define environment
	$(PYTHON) -m venv $(1)
	$(1)/bin/pip install --quiet --disable-pip-version-check -r $(2)
	$(1)/bin/pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@
endef
endif

setup: .venv/.done

.venv/.done: requirements.lock pyproject.toml
	$(call environment,.venv,requirements.lock)

# make run SOURCE=online_retail_ii INPUT=path/to/online_retail_II.csv.gz
run: setup
	$(CLM) run $(if $(SOURCE),--source $(SOURCE)) $(if $(INPUT),--input $(INPUT)) \
	  $(if $(START_DATE),--start-date $(START_DATE)) $(if $(END_DATE),--end-date $(END_DATE))

# Simulate a shop and run everything on it; needs no input.
demo: setup
	$(CLM) demo

dev: setup
	$(CLM) dev

test: setup
	$(BIN)/pytest -n 2 --dist loadgroup

# Also the slow tests: complete runs on the real data, killed processes.
test-all: setup
	$(BIN)/pytest -n 2 --dist loadgroup -m ""

# The environment of the team profile, in .venv-team: DuckDB 1.5 with its extensions, which DuckDB 2.0 does not have yet.
team: .venv-team/.done

.venv-team/.done: .ci/requirements-team.lock pyproject.toml
	$(call environment,.venv-team,.ci/requirements-team.lock)

# What depends on the version of DuckDB: SQL, the warehouse, the lake, ingestion.
TEAM_TESTS := clm_dagster_tests/sql clm_dagster_tests/platform/dbt_project clm_dagster_tests/platform/test_warehouse.py \
  clm_dagster_tests/platform/test_duckdb_files.py clm_dagster_tests/domains/ingest/test_assets.py \
  clm_dagster_tests/engines clm_dagster_tests/platform/lake
test-team: team
	.venv-team/bin/pytest -n 2 --dist loadgroup -m "not peers" $(TEAM_TESTS) \
	  --ignore=clm_dagster_tests/sql/test_dbt.py --ignore=clm_dagster_tests/engines/test_trained.py \
	  --ignore=clm_dagster_tests/engines/spark

# Our statistics against shap, mlxtend and statsforecast. These live in .peers-venv, which lies over .venv: it holds
# the peers, and pandas 2 for statsforecast. Everything else comes from .venv, which stays as it is.
peers: .peers-venv/.done
	.peers-venv/bin/python -m pytest -m peers

.peers-venv/.done: .venv/.done
	rm -rf .peers-venv
	$(BIN)/python -m venv --without-pip .peers-venv
	.peers-venv/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > .peers-venv/own
	$(BIN)/python -c "import sysconfig; print('import site; site.addsitedir(%r)' % sysconfig.get_path('purelib'))" \
	  > "$$(cat .peers-venv/own)/over_venv.pth"
	grep -v '^pandas' requirements.lock > .peers-venv/constraints.txt
	$(BIN)/pip --python .peers-venv/bin/python install --quiet --disable-pip-version-check --no-compile \
	  --no-build-isolation -c .peers-venv/constraints.txt -e '.[peers]'
	touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint dbt_like_sql/models dbt_like_sql/adapters

# The documentation site in build/docs. A broken link, or any other warning, is an error.
docs: setup
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -f .mkdocs.yml

bench: setup
	$(BIN)/python -m clm_dagster_tests.benchmarks $(BENCH)

clean:
	rm -rf .venv .venv-team .peers-venv data
