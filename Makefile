# Every target does the set-up that it needs; `make help` lists them.

# The interpreter: a name that is looked for (python3.13 is also found under
# pyenv) or a path. Each one has its own .venv/<X.Y>.
PYTHON ?= python3
# More arguments for what a target runs: make test ARGS="-k timer".
ARGS ?=

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Asked once, at the first use, which is after the set-up has run: on a fresh
# machine there is no Python before it.
VENV = $(eval VENV := $(shell tools/find-python.sh --venv $(PYTHON)))$(VENV)
BIN = $(CURDIR)/$(VENV)/bin

# The in-place build is found through PYTHONPATH like the others, and not
# through the current folder, which would hide them.
RELEASE = PYTHONPATH=$(CURDIR)
DEBUG = PYTHONPATH=$(CURDIR)/build/debug
PYTEST = $(BIN)/python -P -m pytest

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo "PYTHON=python3.13 chooses the interpreter, ARGS=... adds arguments."

.PHONY: setup
setup: ## install what is missing: system packages (as root) and .venv/<X.Y>
	@tools/setup.sh $(PYTHON)

.PHONY: build
build: setup ## build the extension in place
	@$(BIN)/python setup.py -q build_ext --inplace

.PHONY: debug
debug: setup ## build with -O0 -g3, assertions and the ledger, in build/debug
	@ASYNCLOOP_DEBUG=1 $(BIN)/python setup.py -q build \
	    --build-base build/debug --build-lib build/debug

.PHONY: demo
demo: build ## run one asyncio program on stock asyncio and on asyncloop
	@$(RELEASE) $(BIN)/python examples/demo.py $(ARGS)

.PHONY: test
test: build ## build, lint and all tests
	@$(RELEASE) $(PYTEST) $(ARGS)

.PHONY: test-debug
test-debug: debug ## the tests on the debug build, Python's own checks on
	@$(DEBUG) PYTHONASYNCIODEBUG=1 PYTHONDEVMODE=1 PYTHONMALLOC=debug \
	    $(PYTEST) -m "not conformance and not slow" \
	    --ignore=tests/lint --ignore=tests/package $(ARGS)

.PHONY: matrix
matrix: ## build and test on every Python at hand, 3.11 to 3.15
	@tools/matrix.sh $(ARGS)

.PHONY: asan
asan: setup ## the tests with AddressSanitizer
	@tools/sanitize.sh address $(BIN)/python $(ARGS)

.PHONY: ubsan
ubsan: setup ## the tests with UndefinedBehaviorSanitizer
	@tools/sanitize.sh undefined $(BIN)/python $(ARGS)

.PHONY: leaks
leaks: build ## scripted scenarios many times over: memory, descriptors, types
	@$(RELEASE) $(BIN)/python tools/leaks.py $(ARGS)

.PHONY: oom
oom: build ## fail the n-th allocation of each scenario, for every n
	@$(RELEASE) $(BIN)/python tools/oom.py $(ARGS)

.PHONY: conformance
conformance: build ## CPython's own asyncio tests on asyncloop
	@$(RELEASE) $(BIN)/python tools/conformance.py $(ARGS)

.PHONY: ecosystem
ecosystem: build ## the packages that people run, against real servers
	@$(BIN)/python tools/ecosystem.py $(ARGS)

.PHONY: upstream
upstream: build ## other projects' own tests, where they end differently
	@$(BIN)/python tools/upstream.py $(ARGS)

.PHONY: bench
bench: build ## the benchmarks, beside asyncio and the other loops
	@$(RELEASE) $(BIN)/python benchmarks/run.py $(ARGS)

.PHONY: chart
chart: setup ## the chart and the table of the README, from benchmarks/results
	@$(BIN)/python tools/chart.py

.PHONY: lint
lint: build ## layers, formatting and the other rules of the house
	@$(RELEASE) $(PYTEST) tests/lint $(ARGS)

.PHONY: format
format: setup ## let clang-format rewrite src/
	@find src -name '*.[ch]' -print0 | xargs -0 -r $(BIN)/clang-format -i

.PHONY: typecheck
typecheck: build ## the stubs against the extension, with mypy's stubtest
	@$(RELEASE) $(PYTEST) tests/lint/test_stubs.py $(ARGS)

.PHONY: wheel
wheel: setup ## build a wheel in dist/
	@$(BIN)/python -m pip -q wheel --no-deps --no-build-isolation -w dist .
	@ls -1 dist/*.whl

.PHONY: clean
clean: ## remove what the builds made; the .venv stays
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache
	@rm -f asyncloop/_core*.so
	@find . -path ./.venv -prune -o -name __pycache__ -type d -print0 \
	    | xargs -0 -r rm -rf
