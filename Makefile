# Every target makes its own virtual environment when there is none: Python 3.11+, make and pip's
# registry are all it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OLDEST := .venv-oldest

.PHONY: demo test test-oldest test-live lint bench screenshot clean
.DEFAULT_GOAL := test

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group dev -e .
	touch $(STAMP)

$(OLDEST)/.installed: pyproject.toml constraints-oldest.txt
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt --group dev -e .
	touch $@

demo: $(STAMP)  ## real flow runs crash on an embedded server; count, report and notification
	$(BIN)/crash-monitor demo

# Two processes with a server each: the tests mostly wait for Prefect.
test: $(STAMP)  ## everything that needs Python alone
	$(BIN)/python -m pytest -n 2 --dist loadfile

# What talks to the server and is quick to ask; the rest does not depend on Prefect's version.
test-oldest: $(OLDEST)/.installed  ## the same on the oldest Prefect that is supported
	$(OLDEST)/bin/python -m pytest -n 2 --dist loadfile -m "server and not slow and not live"

test-live: $(STAMP)  ## runs that crash in 37 ways, or end without saying so, on real servers; 10 minutes
	$(BIN)/python -m pytest -m live tests/live

lint: $(STAMP)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)  ## cost and truth: counting, explaining, a flood; 5 minutes, RUNS=100000 for more
	$(BIN)/python -m bench --runs $(or $(RUNS),10000)

screenshot: $(STAMP)  ## the report in the Prefect UI, in a headless Chromium (install it first)
	$(BIN)/python docs/screenshot.py

clean:
	rm -rf $(VENV) $(OLDEST) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
