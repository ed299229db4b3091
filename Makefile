# Every target says what it is for in its own line after `##`; `make help` prints those lines.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:

# The interpreter that the environment is made from; uv never downloads another.
PYTHON ?= python3
export UV_PYTHON_DOWNLOADS := never
# The environment holds everything: nothing is picked up from the caller's.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

BIN := .venv/bin
READY := .venv/.ready
# Helm's engine and Kubernetes' schemas have an environment of their own.
HELM := .tools/helm
# Trees that are formatted and linted, and those held to strict types.
SOURCES := $(wildcard server clients/python clients/smoke clients/dist.py protos tests bench)
TYPED := $(wildcard server clients/python/turnout_client protos/*.py)

.PHONY: help
help: ## List every target
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ------------------------------------------------------------------------------ environment

.PHONY: setup
setup: $(READY) ## Make .venv from the hash-pinned lock and install this project into it

$(READY): pyproject.toml requirements.lock requirements-bootstrap.lock $(wildcard clients/python/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "turnout needs Python 3.11 or newer: make setup PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "setup: installing what requirements.lock pins"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements-bootstrap.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation \
	  $(foreach project,. $(dir $(wildcard clients/python/pyproject.toml)),--editable ./$(project))
	@touch $@

.PHONY: models
models: setup ## Fetch and verify the small open models of the embedded default, once
	@$(BIN)/python -m turnout_server models fetch

.PHONY: lock
lock: setup ## Pin what pyproject.toml asks for; UPGRADE=1 takes the newest versions
	@compile="$(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header $(if $(UPGRADE),--upgrade)"; \
	$$compile --extra local --extra toktok --group dev --output-file requirements.lock; \
	$$compile --constraint requirements.lock --output-file requirements-server.lock; \
	$(BIN)/uv pip compile --group bootstrap --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header $(if $(UPGRADE),--upgrade) \
	  --output-file requirements-bootstrap.lock; \
	$(BIN)/uv pip compile tests/helm/requirements.in --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header $(if $(UPGRADE),--upgrade) \
	  --output-file tests/helm/requirements.lock

# ------------------------------------------------------------------------------ use

.PHONY: run
run: setup models ## Start the gateway on its embedded models, prove it, keep serving; ONCE=1 ends after the proof
	@$(BIN)/python -m turnout_server demo $(if $(ONCE),--once)

.PHONY: bench
bench: setup ## Measure what a call and a token cost the server; ARGS="--help" lists its options
	@$(BIN)/python -m bench $(ARGS)

# ------------------------------------------------------------------------------ tests

.PHONY: redis
redis: ## Install redis-server for the tests, which start it on ports of their own, if it is not there
	@command -v redis-server > /dev/null || { \
	  if [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then \
	    echo "the tests need redis-server on the PATH: apt-get install redis-server" >&2; exit 1; fi; \
	  echo "redis: installing redis-server"; \
	  install="apt-get install --yes --quiet=2 --no-install-recommends redis-server"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  $$install > /dev/null || { apt-get update --quiet=2 && $$install > /dev/null; }; }

.PHONY: test
test: setup models redis $(HELM)/.ready ## Run every test; ARGS="-k name" narrows
	@$(BIN)/python -m pytest --ignore=tests/mesh --ignore=tests/compat $(ARGS)

.PHONY: test-faults
test-faults: setup ## Run only the tests that break providers, networks and callers
	@$(BIN)/python -m pytest tests/fault $(ARGS)

.PHONY: test-helm
test-helm: setup $(HELM)/.ready ## Render the Helm chart, and hold it to Kubernetes and to the gateway
	@$(BIN)/python -m pytest tests/helm $(ARGS)

$(HELM)/.ready: tests/helm/requirements.lock | setup
	@echo "helm: installing what $< pins"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(HELM)
	@$(BIN)/uv pip install --quiet --python $(HELM)/bin/python --require-hashes -r $<
	@touch $@

.PHONY: test-clients
test-clients: test-python test-go test-java test-node test-smoke test-compat ## Run every client's tests, and its smoke cases against Turnout

.PHONY: test-smoke
test-smoke: setup ## Run the clients' smoke cases against Turnout itself, and through a real Envoy
	@$(BIN)/python clients/smoke/run.py gateway envoy $(ARGS)

.PHONY: test-mesh
test-mesh: setup ## Run a real Envoy between clients and servers: cuts, freezes, drains, long streams
	@$(BIN)/python -m pytest tests/mesh $(ARGS)

.PHONY: test-compat
test-compat: setup ## Run old stubs against today's server, and today's client against an old one
	@$(BIN)/python -m pytest tests/compat $(ARGS)

.PHONY: test-python
test-python: setup ## Run the Python client's tests
	@$(BIN)/python -m pytest tests/client $(ARGS)

.PHONY: test-go
test-go: setup ## Vet, check and race-test the Go client
	@cd clients/go && go vet ./... && \
	  go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./... && go test -race ./...

.PHONY: test-java
test-java: setup ## Build and test the Java client
	@cd clients/java && mvn --quiet --batch-mode verify

.PHONY: test-node
test-node: setup ## Check and test the TypeScript client
	@cd clients/node && npm ci --no-audit --no-fund --loglevel=error && npm run check && npm test

# ------------------------------------------------------------------------------ checks

.PHONY: check
check: gen-check docs-check lint stubs-compile ## Run every check short of the tests; fails when anything is not committed
	@git diff --exit-code --stat || \
	  { echo "check: the files above differ from what is committed" >&2; exit 1; }

.PHONY: lint
lint: setup ## Check style, types and the import rule; changes nothing
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy $(TYPED)
	@$(BIN)/lint-imports --no-cache | sed -n '/^Analyzed/p; /KEPT$$/p; /BROKEN$$/,$$p'

.PHONY: format
format: setup ## Format the sources and apply the safe fixes
	@$(BIN)/ruff check --fix-only --quiet $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/buf format --write protos

# ------------------------------------------------------------------------------ generated files

.PHONY: gen
gen: setup ## Generate the Python, Go and Java stubs from protos/
	@$(BIN)/python protos/generate.py

.PHONY: gen-check
gen-check: setup ## Fail when the contract breaks its rules or the committed stubs differ from it
	@$(BIN)/python protos/generate.py --check

.PHONY: baseline
baseline: setup ## At a release only: from now on nothing of this contract may break
	@$(BIN)/python protos/generate.py --baseline

.PHONY: stubs-compile
stubs-compile: setup ## Compile the Go and Java stubs in modules of their own
	@$(BIN)/python protos/generate.py --compile

.PHONY: docs
docs: setup ## Generate the reference pages and the configuration's schema from the code
	@$(BIN)/python -m turnout_server docs

.PHONY: docs-check
docs-check: setup ## Fail when a generated page differs from the code
	@$(BIN)/python -m turnout_server docs --check

REPORTS := .reports
.PHONY: clients-page
clients-page: setup ## Run and measure all clients, and write docs/clients.md of it
	@rm -rf $(REPORTS)
	@$(BIN)/python clients/smoke/run.py --reports $(REPORTS)
	@$(BIN)/python -m pytest tests/compat --junitxml=$(REPORTS)/compat.xml
	@$(BIN)/python -m bench.clients --json $(REPORTS)/cost.json
	@$(BIN)/python clients/smoke/matrix.py $(REPORTS)

# ------------------------------------------------------------------------------ packages

.PHONY: dist
dist: setup ## Build every package into dist/, as it would be published; nothing is
	@rm -rf dist
	@$(BIN)/hatchling build --directory dist
	@cd clients/python && ../../$(BIN)/hatchling build --directory ../../dist
	@$(BIN)/python clients/dist.py

.PHONY: clean
clean: ## Remove the environment, the fetched generators, caches and built packages
	@rm -rf .venv .tools dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
