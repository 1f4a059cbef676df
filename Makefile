# Each target is a few plain commands; docs/getting-started.md shows them for use without make.
PYTHON ?= python3
# uv takes seconds where pip takes minutes; `make setup UV=` uses pip.
UV ?= $(shell command -v uv)
BIN := .venv/bin
CLM := $(BIN)/clm
export DAGSTER_DISABLE_TELEMETRY := true

.PHONY: setup run demo dev test test-all lint docs bench clean

setup: .venv/.done

.venv/.done: requirements.lock pyproject.toml
ifneq ($(UV),)
	$(UV) venv --quiet --seed --allow-existing --python $(PYTHON) .venv
	$(UV) pip install --quiet --python $(BIN)/python -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
else
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
endif
	touch $@

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
	$(BIN)/pytest -n 2 --dist loadfile

# Also the slow tests: complete runs on the real data, killed processes.
test-all: setup
	$(BIN)/pytest -n 2 --dist loadfile -m ""

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint dbt_like_sql/models

# The documentation site in build/docs. A broken link, or any other warning, is an error.
docs: setup
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -f .mkdocs.yml

bench: setup
	$(BIN)/python -m clm_dagster_tests.benchmarks $(BENCH)

clean:
	rm -rf .venv data
