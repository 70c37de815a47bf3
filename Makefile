# Each target sets up $(VENV) from nothing with the extras it needs, and once only.

PYTHON ?= python3
VENV ?= .venv
TESTS ?= tests
PYTEST_ARGS ?=
DRILL_ARGS ?=

bin := $(VENV)/bin
typed := $(wildcard flask_paseto example_app typing_tests)
# Activated: --verifytypes does not heed --pythonpath.
pyright := . $(bin)/activate && pyright
pip_install := $(bin)/python -m pip install --quiet

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test interop browser screens lint docs bench drill outage reach clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.stamp-example ## Run the example app on http://127.0.0.1:$PORT (5000), with an account to try
	$(bin)/python -m example_app

test: $(VENV)/.stamp-test ## Run the tests (TESTS=path PYTEST_ARGS="-k word" to narrow)
	$(bin)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS) $(TESTS)

interop: $(VENV)/.stamp-interop tests/interop/node_modules/.stamp ## Run tokens and keys against other implementations
	$(bin)/python -m pytest -n auto $(PYTEST_ARGS) tests/interop

browser: $(VENV)/.stamp-browser ## Run the pages of the example app in a real Chromium
	$(bin)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS) tests/browser

screens: $(VENV)/.stamp-browser ## Take the pictures of the documentation anew
	SCREENS=docs/_static/screens $(bin)/python -m pytest $(PYTEST_ARGS) tests/browser/test_screens.py

lint: $(VENV)/.stamp-lint ## Check style, types, layers and spelling
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy $(typed)
	$(pyright) flask_paseto $(wildcard typing_tests)
	$(pyright) --ignoreexternal --verifytypes flask_paseto
	$(bin)/lint-imports
	$(bin)/codespell

docs: $(VENV)/.stamp-docs ## Build the documentation into docs/_build/html
	$(bin)/sphinx-build -W -n -b html docs docs/_build/html

bench: $(VENV)/.stamp-bench ## Measure the guard against its peers
	$(bin)/python benchmarks/guard.py

drill: $(VENV)/.stamp-drill ## Rotate keys under load and count wrong answers
	$(bin)/python benchmarks/rotation_drill.py $(DRILL_ARGS)

outage: $(VENV)/.stamp-test ## Take the store away under load and count who was let in
	$(bin)/python benchmarks/outage_drill.py $(DRILL_ARGS)

reach: $(VENV)/.stamp-test ## Measure how long a revocation takes to reach every worker
	$(bin)/python benchmarks/reach.py $(DRILL_ARGS)

clean: ## Remove what the other targets made (the example's instance/ stays)
	rm -rf .venv .venv-ci build dist docs/_build .coverage .coverage.* htmlcov
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf flask_paseto_auth.egg-info tests/interop/node_modules

# What each target installs.
$(VENV)/.stamp-example: extras := example
$(VENV)/.stamp-test: extras := test
$(VENV)/.stamp-interop: extras := test,interop
$(VENV)/.stamp-browser: extras := test,example,browser
$(VENV)/.stamp-lint: extras := lint,example,async,postgresql,redis
$(VENV)/.stamp-docs: extras := docs
$(VENV)/.stamp-bench: extras := bench
$(VENV)/.stamp-drill: extras := drill

$(VENV)/.stamp-%: setup.cfg pyproject.toml | $(VENV)/.made
	$(pip_install) --editable '.[$(extras)]'
	@touch $@

# npm is that of the environment. A lock file would name the registry of one machine.
npm := PATH="$(abspath $(bin)):$$PATH" npm --prefix tests/interop

tests/interop/node_modules/.stamp: tests/interop/package.json | $(VENV)/.stamp-interop
	@$(bin)/python -c 'import pysodium' 2>/dev/null || { \
	  echo "make interop needs libsodium: apt install libsodium23" >&2; exit 1; }
	$(npm) install --no-package-lock --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# An environment that is there is kept; asking for another Python must not be ignored.
ifeq ($(origin PYTHON),command line)
ifneq ($(wildcard $(VENV)/.made),)
asked := $(shell $(PYTHON) -c 'import sys; print(sys.version_info[:2])')
there := $(shell $(bin)/python -c 'import sys; print(sys.version_info[:2])')
ifneq ($(asked),$(there))
$(error $(VENV) has Python $(there), $(PYTHON) is $(asked): add VENV=.venv-other, or run make clean first)
endif
endif
endif

$(VENV)/.made:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "No '$(PYTHON)' here. Name a Python >= 3.11: make PYTHON=python3.12 ..." >&2; \
	  exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "flask_paseto needs Python 3.11 or newer and '$(PYTHON)' is" \
	    "$$("$(PYTHON)" --version 2>&1). Name another: make PYTHON=python3.12 ..." >&2; \
	  exit 1; }
	"$(PYTHON)" -m venv --clear "$(VENV)"
	@touch $@
