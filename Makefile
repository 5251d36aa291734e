# `make run` installs everything and trains; `make check` is what must pass before a commit.
#   make run ARGS="--steps 100000 --seed 3"
#   make test ARGS="-k packaging"
#   make test PYTHON=python3.12 VENV=.venv-3.12

PYTHON ?= python3
VENV ?= .venv
ENV ?= HalfCheetah-v4
ARGS ?=

python := $(VENV)/bin/python
# setuptools comes from the constraints as well, so the build must not fetch another one.
install := $(python) -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install install-dev run test test-slow snapshot lint types check format clean

help:
	@echo "make run        train a reward model and a policy on $(ENV) (ENV=..., ARGS=...)"
	@echo "make check      lint, types and test"
	@echo "make test       the test suite (ARGS=... goes to pytest)"
	@echo "make test-slow  the tests that take minutes"
	@echo "make snapshot   the error texts of every command, anew (tests/cli/errors.snapshot.txt)"
	@echo "make lint       ruff's rules and formatting, and the import layers"
	@echo "make types      mypy"
	@echo "make format     apply ruff's formatting and safe fixes"
	@echo "make clean      remove caches and builds (not $(VENV), not runs/)"

# torch goes first: later packages then take the build that is there.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "prefrl needs Python 3.10 or newer: make PYTHON=...")'
	test -x $(python) || $(PYTHON) -m venv $(VENV)
	$(install) setuptools torch
	$(install) --no-build-isolation --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(install) --no-build-isolation --editable '.[dev]'
	touch $@

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

run: install
	$(python) scripts/run_pbrl.py --env $(ENV) $(ARGS)

# One thread a process: two test processes share two cores. A file stays in one of them, and so do
# the runs and the cluster that its tests share.
test: export OMP_NUM_THREADS = 1
test: install-dev
	$(python) -m pytest -n 2 --dist loadfile $(ARGS)

test-slow: export OMP_NUM_THREADS = 1
test-slow: install-dev
	$(python) -m pytest -n 2 --dist loadfile -m slow $(ARGS)

snapshot: install-dev
	$(python) -m tests.cli.error_snapshot

lint: install-dev
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -c 'import sys; sys.exit(sys.version_info >= (3, 11))' || $(VENV)/bin/lint-imports --no-cache

types: install-dev
	$(python) -m mypy

check: lint types test

format: install-dev
	$(python) -m ruff check --fix-only
	$(python) -m ruff format

clean:
	rm -rf build dist *.egg-info .coverage htmlcov .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find prefrl envs agents scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
