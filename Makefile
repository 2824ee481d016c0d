# Each target sets up everything it needs on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST := $(BIN)/python -m pytest -n auto

.PHONY: setup run quick test coverage wheel lint bench docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24" --constraint constraints.txt
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

run: setup
	$(BIN)/bacalhaunet reproduce --budget quick

# Under a minute on two cores; tests/quick.txt says which tests these are and why.
quick: setup
	$(TEST) $$(grep -v '^#' tests/quick.txt)

test: setup
	$(TEST)

# All tests, and which lines they reach; takes half as long again, so `make test` does without.
coverage: setup
	$(TEST) --cov

# The wheel, installed into an empty environment without torch, names the signals of a recording.
wheel: setup
	$(BIN)/python -m pytest -m network tests/packaging

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

bench: setup
	for bench in benchmarks/bench_*.py; do $(BIN)/python $$bench || exit 1; done

docs: setup
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site runs
