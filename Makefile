# The five commands. Each sets up .venv first, once; again after pyproject.toml or constraints.txt changed.
#   make demo   train on the bundled Adult data        make test    all tests
#   make check  format, lint, types                    make bench   the figures of README and docs
#   make docs   reference pages from the code
# PYTHON=python3.12 make ...   uses another Python for .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq -c constraints.txt
BENCHMARKS := startup optimizers throughput resume streaming parallel quality diagnosis overhead
.DEFAULT_GOAL := help
.PHONY: help demo test check bench docs

help:
	@sed -n '1,5s/^# \{0,1\}//p' Makefile

# torch by itself first, at the pinned version, so that nothing else decides which build of it is fetched.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("trainwell needs Python 3.11 or newer: PYTHON=python3.12 make ..." if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(VENV), once; this takes some minutes."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) torch
	@$(PIP) -e '.[dev]'
	@touch $(READY)

demo: $(READY)
	@out=runs/demo; n=1; while [ -e "$$out" ]; do n=$$((n + 1)); out="runs/demo-$$n"; done; \
	$(BIN)/trainwell fit adult --target income --test adult-test --budget 100s --out "$$out"

test: $(READY)
	@$(BIN)/python -m pytest --quiet -n auto --maxprocesses 8 --dist worksteal

check: $(READY)
	@$(BIN)/ruff format --check --quiet . || { echo "Mend with: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(READY)
	@for name in $(BENCHMARKS); do echo "benchmarks.$$name" >&2; $(BIN)/python -m benchmarks.$$name --json || exit 1; done

docs: $(READY)
	@$(BIN)/python docs/generate.py
