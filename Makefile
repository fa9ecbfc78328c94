# `make demo` and `make test` need Python 3.11 or newer, make and a package registry; nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO_STORE ?= demo/store
# Options of `make platform`, such as PLATFORM="--prefect-port 4300 --no-worker".
PLATFORM ?=
RELEASE ?= releases/phraseldm-pop909

export DO_NOT_TRACK = true
export MLFLOW_DISABLE_TELEMETRY = true
# Threads that sleep while waiting for each other train models of the demo's size a fifth quicker than
# threads that spin; with the paper's model it is the other way round, by a tenth.
export OMP_WAIT_POLICY ?= PASSIVE
# A worker a core; one that has no tests left takes some of another's.
PARALLEL ?= -n logical --dist worksteal

.PHONY: demo platform test lint fast clean

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(INSTALLED)  ## four songs of the release, then the whole pipeline, small, on synthetic songs
	$(BIN)/phraseldm generate --model $(RELEASE) -n 4 -o demo/songs --force
	$(BIN)/phraseldm run --preset demo --store $(DEMO_STORE)

platform: $(INSTALLED)  ## servers, a store in memory and a worker on this computer, until Ctrl-C
	@$(BIN)/phraseldm platform $(PLATFORM)

test: $(INSTALLED) lint  ## style, types, import contracts and every test but GPU ones
	$(BIN)/python -m pytest -m 'not gpu' $(PARALLEL)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fast: $(INSTALLED)  ## the tests that take seconds
	$(BIN)/python -m pytest -m 'not slow and not gpu' $(PARALLEL)

clean:
	rm -rf $(VENV) demo build *.egg-info
