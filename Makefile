# Everything is made from here; each target does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A file of tests runs in one of so many processes.
TEST_PROCESSES ?= 2


.PHONY: setup demo serve test conformance crash fuzz hostile simulate recordings recordings-environments check bench format lint types contracts docs lock clean

setup: $(STAMP)

$(STAMP): pyproject.toml sdk/pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, got " + sys.version.split()[0] + ": set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable ./sdk --editable '.[dev]'
	$(BIN)/python -m server.warm_up  # compiles what the first start, and the first question for results, would else
	@touch $(STAMP)

demo: setup
	$(BIN)/python examples/demo/run.py

serve: setup
	$(BIN)/fallom-server serve

test: setup
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile

# Hold a server to OTLP, point by point, and write docs/conformance.md from the run; the tests say if it is out of date.
conformance: setup
	$(BIN)/python -m pytest tests/conformance --write-page

# The OTLP decoder against protobuf's own: a million inputs at random, then some with every index checked. Minutes.
FUZZ_INPUTS ?= 1000000
FUZZ_CHECKED_INPUTS ?= 100000
fuzz: export PYTHONPATH := tests
fuzz: setup
	$(BIN)/python -m otlp_decoder.fuzz --inputs $(FUZZ_INPUTS) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED))
	$(BIN)/python -m otlp_decoder.fuzz --checked --inputs $(FUZZ_CHECKED_INPUTS) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED))

# A hundred kills under load; `make test` has ten. Minutes.
crash: export FALLOM_TEST_KILLS ?= 100
crash: setup
	$(BIN)/python -m pytest tests/e2e/test_crash.py tests/e2e/test_faults.py

# Malformed requests over HTTP and gRPC, a million; `make test` has some thousand. Minutes.
HOSTILE_REQUESTS ?= 1000000
hostile: export PYTHONPATH := tests
hostile: setup
	$(BIN)/python -m hostile.run --requests $(HOSTILE_REQUESTS)

# What the statistics promise, over simulated experiments, and docs/statistics.md written from it. Minutes.
simulate: export PYTHONPATH := tests:.
simulate: setup
	$(BIN)/python -m simulations.run

# What real instrumentors export, recorded anew as fixtures for `make test`: all, or RUNS="name …". Minutes.
recordings: export PYTHONPATH := tests:.
recordings: setup
	$(BIN)/python -m recordings.record $(RUNS)

# The environments that they run in; `make test` makes them itself, or skips what runs in them where it can't.
recordings-environments: export PYTHONPATH := tests:.
recordings-environments: setup
	$(BIN)/python -m recordings.environments

# How fast it is, on this machine: docs/performance.md says how to read it.
bench: setup
	$(BIN)/python benchmarks/ingest.py --batch 512 1 --transport grpc http fallom

check: format lint types contracts test

format: setup
	$(BIN)/ruff format --check .

lint: setup
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

# Write the pages that are made from the code.
docs: setup
	$(BIN)/python -m docs.generate

# Resolve the lock anew, for all platforms and Python versions.
lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --no-emit-package fallom-sdk --no-header --no-emit-index-url pyproject.toml sdk/pyproject.toml --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url tests/recordings/requirements.in --output-file tests/recordings/requirements.txt

clean:
	rm -rf $(VENV) .client-environments
