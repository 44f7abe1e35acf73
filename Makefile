# Everything runs in .venv, made from pyproject.toml; `make clean` removes it.
PYTHON ?= python3
BIN := .venv/bin

# Hundreds of processes would compile the whole program anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-quick test-fast test-oldest test-sdist browser-test editor-test deploy-test engine-test schemastore screenshots docs linkcheck soak bench check schemas clean

help:
	@echo "make run    the quickstart: all seven models against the simulator"
	@echo "make test   the tests"
	@echo "make test-quick  the unit tests without the most thorough ones, in seconds"
	@echo "make test-sdist  the unit tests of an sdist, unpacked elsewhere"
	@echo "make test-fast  the tests that dependencies can break, with the extra fast (TESTS=tests for all)"
	@echo "make test-oldest  the same with the oldest dependencies that pyproject.toml allows"
	@echo "make browser-test  the report and the viewer in Chromium, which is installed if that is possible"
	@echo "make editor-test  what editors and hooks make of manifests; needs Node.js and npm"
	@echo "make deploy-test  what Kubernetes, SLURM and AWS Batch say of deploy/; needs apt-get for SLURM"
	@echo "make engine-test  runs on many workers, with a Dask cluster on this machine"
	@echo "make schemastore  what SchemaStore is given of the manifest's schema, into build/schemastore"
	@echo "make screenshots  the pictures in docs/pictures, of a run that a simulator makes"
	@echo "make docs   the documentation, into build/docs; a warning is an error"
	@echo "make linkcheck  asks other sites whether the addresses in the documentation are there; needs a network"
	@echo "make soak   kills, faults and restarts for SECONDS=300 from SEED=… on"
	@echo "make bench  measures speed and scale beside the alternatives, about a quarter of an hour"
	@echo "make check  ruff and mypy --strict"
	@echo "make clean  remove the environment and the quickstart's output"

# What a release of a dependency can break: reading, schemas, HTTP, the command line, media, and the whole put together.
TESTS ?= tests/test_dependencies.py $(addprefix tests/, unit/manifest unit/catalog unit/cli unit/media client simulator \
  process/commands/test_acceptance.py process/commands/test_identity.py process/commands/test_simulate.py)

# Two processes for each core, since half of the tests wait; the tests of a file share what it sets up once.
WORKERS := $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
PARALLEL := --numprocesses $(WORKERS) --dist loadfile

.venv/.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("batchgen needs Python 3.11 or newer; set PYTHON=") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager --editable '.[dev,datasets]'
	@touch $@

# The same with the extra `fast`, whose parts must change nothing but the speed.
.venv-fast/.stamp: pyproject.toml
	$(PYTHON) -m venv .venv-fast
	.venv-fast/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager --editable '.[dev,fast]'
	@touch $@

# The same again with the lower bounds of pyproject.toml; tests/test_dependencies.py keeps the list true.
.venv-oldest/.stamp: pyproject.toml .ci/oldest.txt
	$(PYTHON) -m venv --clear .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --constraint .ci/oldest.txt --editable '.[dev,fast]'
	@touch $@

run: .venv/.stamp
	$(BIN)/batchgen run manifests/quickstart.yaml --simulate

test: .venv/.stamp
	$(BIN)/python -m pytest $(PARALLEL) --ignore=tests/browser --ignore=tests/editors --ignore=tests/process/engine

# In memory where the machine has such a thing: these tests sync thousands of times.
MEMORY := $(firstword $(wildcard /dev/shm) $(TMPDIR) /tmp)

test-quick: .venv/.stamp
	TMPDIR=$(MEMORY) HYPOTHESIS_PROFILE=quick $(BIN)/python -m pytest --numprocesses auto --dist worksteal \
	  -m "not thorough" -o tmp_path_retention_policy=failed tests/unit

# What a distributor does: unpack the archive, and run the tests that it brings.
test-sdist: .venv/.stamp
	rm -rf build/sdist && mkdir -p build/sdist
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build
	$(BIN)/python -m build --sdist --outdir build/sdist .
	tar -xzf build/sdist/batchgen_api18-*.tar.gz -C build/sdist --strip-components 1
	$(MAKE) -C build/sdist test-quick check

.venv/.browser: .venv/.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,browser]'
	@touch $@

# Here it is a fault if there is no browser; elsewhere these tests are skipped then.
browser-test: .venv/.browser
	@.ci/chromium
	BROWSER_TESTS=1 $(BIN)/python -m pytest tests/browser

# Without a lock file: npm's would hold addresses.
.venv/.editors: .venv/.stamp tests/editors/package.json
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,editors]'
	@mkdir -p build/editors && cp tests/editors/package.json build/editors/
	npm install --prefix build/editors --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

editor-test: .venv/.editors
	EDITOR_TESTS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests/editors

# SLURM is unpacked, not installed: its parser and its controller are all that is needed.
.venv/.deploy: .venv/.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,deploy]'
	@mkdir -p build/slurm && cd build/slurm && rm -f *.deb \
	  && apt-get download -qq -o APT::Sandbox::User=root slurm-client slurmctld slurm-wlm-basic-plugins \
	  && for package in *.deb; do dpkg -x "$$package" .; done
	@touch $@

deploy-test: .venv/.deploy
	DEPLOY_TESTS=1 $(BIN)/python -m pytest tests/deploy

# Processes of a Dask cluster, which take their time to start.
engine-test: .venv/.stamp
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests/process/engine

schemastore: .venv/.stamp
	$(BIN)/python tests/editors/schemastore.py build/schemastore

screenshots: .venv/.browser
	@.ci/chromium
	PYTHONPATH=tests $(BIN)/python tests/browser/screenshots.py docs/pictures

test-fast: .venv-fast/.stamp
	.venv-fast/bin/python -m pytest $(PARALLEL) $(TESTS)

test-oldest: .venv-oldest/.stamp
	.venv-oldest/bin/python -m pytest $(PARALLEL) $(TESTS)

# The same interpreter and packages as the tests have, since the reference is made from the program itself.
.venv-docs/.stamp: pyproject.toml
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager --editable '.[docs,sim]'
	@touch $@

docs: .venv-docs/.stamp
	.venv-docs/bin/python -m sphinx -W --keep-going -n -q -b html docs build/docs
	@echo "build/docs/index.html"

# Not part of any test: other sites are there or not whatever we do.
linkcheck: .venv-docs/.stamp
	.venv-docs/bin/python -m sphinx -q -b linkcheck docs build/linkcheck

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
	rm -rf .venv .venv-fast .venv-oldest .venv-docs build/docs build/linkcheck output/quickstart output/quickstart.simulated
