# Everything runs in .venv, made from pyproject.toml; `make clean` removes it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help run test test-fast soak bench check schemas clean

help:
	@echo "make run    the quickstart: all seven models against the simulator"
	@echo "make test   the tests"
	@echo "make test-fast  the tests with the extra fast"
	@echo "make soak   kills, faults and restarts for SECONDS=300 from SEED=… on"
	@echo "make bench  measures speed and scale beside the alternatives, about a quarter of an hour"
	@echo "make check  ruff and mypy --strict"
	@echo "make clean  remove the environment and the quickstart's output"

.venv/.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("batchgen needs Python 3.11 or newer; set PYTHON=") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# The same with the extra `fast`, whose parts must change nothing but the speed.
.venv-fast/.stamp: pyproject.toml
	$(PYTHON) -m venv .venv-fast
	.venv-fast/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,fast]'
	@touch $@

run: .venv/.stamp
	$(BIN)/batchgen run manifests/quickstart.yaml --simulate

test: .venv/.stamp
	$(BIN)/python -m pytest

test-fast: .venv-fast/.stamp
	.venv-fast/bin/python -m pytest

bench: .venv-fast/.stamp
	.venv-fast/bin/python -m benchmarks $(PARTS)

# bash has a variable of its own named SECONDS, so only one from make's command line counts.
soak: .venv/.stamp
	$(BIN)/python tests/soak.py --seconds $(if $(filter command,$(origin SECONDS)),$(SECONDS),300) $(if $(SEED),--seed $(SEED))

check: .venv/.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv .venv-fast output/quickstart output/quickstart.simulated
