# Each target is a few plain commands; docs/getting-started.md shows them for use without make.
PYTHON ?= python3
# uv takes seconds where pip takes minutes; `make setup UV=` uses pip.
UV ?= $(shell command -v uv)
BIN := .venv/bin
CLM := $(BIN)/clm
export DAGSTER_DISABLE_TELEMETRY := true

.PHONY: setup run demo dev test test-all peers lint docs bench clean

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
	rm -rf .venv .peers-venv data
