# Each target is a few plain commands; the README shows them for who has no make.
PYTHON ?= python3
BIN := .venv/bin
CLM := $(BIN)/clm
export DAGSTER_DISABLE_TELEMETRY := true

.PHONY: setup run demo dev test test-all lint bench clean

setup: .venv/.done

.venv/.done: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

# make run SOURCE=online_retail_ii INPUT=path/to/online_retail_II.csv.gz
run: setup
	$(CLM) run $(if $(SOURCE),--source $(SOURCE)) $(if $(INPUT),--input $(INPUT)) \
	  $(if $(START_DATE),--start-date $(START_DATE)) $(if $(END_DATE),--end-date $(END_DATE))

# A shop that is made up, loaded and shown: nothing but this is needed.
demo: setup
	$(CLM) demo

dev: setup
	$(CLM) dev

test: setup
	$(BIN)/pytest -n 2 --dist loadfile

# The slow ones too: whole runs on the real data, killed processes.
test-all: setup
	$(BIN)/pytest -n 2 --dist loadfile -m ""

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint dbt_like_sql/models

bench: setup
	$(BIN)/python -m clm_dagster_tests.benchmarks $(BENCH)

clean:
	rm -rf .venv data
