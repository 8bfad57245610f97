# Two commands a new user runs: `make demo` and `make test`. Each sets up what it needs in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
export OPENBLAS_NUM_THREADS := 1

.PHONY: demo test test-slow check fix bench docs lock clean

demo: .venv/run.stamp ## make telemetry, analyse eight experiments, print what was found
	$(BIN)/sonde demo --no-serve

test: .venv/dev.stamp .venv-bqemulator/stamp ## the tests, under ten minutes on two cores
	$(PYTEST) -n 2 -m "not slow"

test-slow: .venv/dev.stamp .venv-bqemulator/stamp ## simulations and long sweeps
	$(PYTEST) -n 2 -m slow

check: .venv/dev.stamp ## format, lint, types, import contracts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: .venv/dev.stamp ## format and mend what can be mended
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: .venv/bench.stamp ## CPU seconds and memory, side by side in one run
	$(BIN)/python -m benchmarks

docs: .venv/dev.stamp ## the generated pages of docs/
	$(BIN)/python docs/generate.py

PIN = $(BIN)/uv pip compile -q pyproject.toml --generate-hashes --universal --python-version 3.11 --custom-compile-command "make lock"
DEV = --all-extras --group build --group test --group check
lock: .venv/dev.stamp ## pin every dependency, with hashes; the smaller locks agree with the larger
	$(PIN) -U $(DEV) --group bench -o requirements/bench.lock
	$(PIN) $(DEV) -c requirements/bench.lock -o requirements/dev.lock
	$(PIN) --group build -c requirements/dev.lock -o requirements/run.lock
	$(subst pyproject.toml,requirements/bqemulator.in,$(PIN)) -U -o requirements/bqemulator.lock

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/%.stamp: requirements/%.lock pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/$*.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# BigQuery's wire protocol on loopback; where this is absent, its tests are skipped.
.venv-bqemulator/stamp: requirements/bqemulator.lock
	$(PYTHON) -m venv .venv-bqemulator
	.venv-bqemulator/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	touch $@

clean:
	rm -rf .venv .venv-bqemulator build dist demo
