.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

##@ Start
.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The lock names every package with its hashes. pip installs uv from it, uv the rest, in seconds.
$(READY): requirements-dev.lock pyproject.toml
	@echo "Installing into .venv (a minute on a fresh machine) ..."
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; if it has another name: make PYTHON=python3.12 run"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	@awk '/^uv==/ {on=1} on {print} on && !/\\$$/ {exit}' requirements-dev.lock > .venv/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
	@$(BIN)/uv pip sync --quiet --require-hashes requirements-dev.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(READY)

.PHONY: setup
setup: $(READY) ## Install everything into .venv

.PHONY: run
run: $(READY) ## Run the whole service and a simulated provider in one process
	@exec $(BIN)/payment-service dev

.PHONY: stack
stack: $(READY) ## Real MySQL and Kafka on this machine, and the service's processes on them
	@exec $(BIN)/python -m deploy.stack --exec $(BIN)/python -m tests.stack.processes

.PHONY: demo
demo: $(READY) ## Tell the story of one payment: paid, refunded in part, its timeline
	@exec $(BIN)/python -m tests.demo

.PHONY: seen
seen: $(READY) ## What is seen of one payment over four processes: spans, log lines, metrics
	@exec $(BIN)/python -m deploy.stack --exec $(BIN)/python -m tests.observability

##@ Contract
.PHONY: generate
generate: $(READY) ## Write generated/ from openapi.yaml and webhook-schemas/
	@$(BIN)/python -m codegen

.PHONY: verify
verify: $(READY) ## Fail if generated/ is not what the contract gives
	@$(BIN)/python -m codegen --check

.PHONY: compatible
compatible: $(READY) ## Fail if the contract would break who uses the released one
	@$(BIN)/python -m codegen.compatibility

.PHONY: release-contract
release-contract: $(READY) verify ## Make the present contract the released one
	@$(BIN)/python -m codegen.compatibility --release

.PHONY: clients
clients: $(READY) ## Generate clients in Python, TypeScript, Go and Java into dist/clients/
	@exec $(BIN)/python -m tests.clients

##@ Quality
.PHONY: check
check: $(READY) verify compatible ## Format, lint, types, import rules, contract
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@echo "check: clean"

.PHONY: format
format: $(READY) ## Format, and repair what lint can
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .

##@ Test
.PHONY: test
test: $(READY) ## Every suite that can run here; REQUIRE_STACK=1 makes a missing server a failure
	@$(BIN)/python -m deploy.stack --exec true || echo "make test: goes on without real servers"
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

.PHONY: fuzz
fuzz: $(READY) ## schemathesis against a running service; FUZZ_EXAMPLES=30 per operation
	@exec $(BIN)/python -m tests.fuzz

.PHONY: chaos
chaos: $(READY) ## Kill processes, servers and connections, then compare all ledgers; CHAOS_PAYMENTS=500
	@exec $(BIN)/python -m tests.chaos

.PHONY: upgrade
upgrade: $(READY) ## Old and new version side by side under load: forth, back, forth; UPGRADE_FROM=v1.2.0
	@exec $(BIN)/python -m tests.upgrade

.PHONY: mutants
mutants: $(READY) ## Break the service on purpose, and see each breakage caught; MUTANTS="text" chooses
	@exec $(BIN)/python -m tests.mutants

.PHONY: hostile
hostile: $(READY) ## Attack a running service with the table of hostile inputs, and print it
	@exec $(BIN)/python -m tests.hostile

.PHONY: bench
bench: $(READY) ## The service against its peers, and what telemetry costs; BENCH_QUICK=1 is a smoke run, BENCH=webhook,get chooses
	@exec $(BIN)/python -m tests.benchmarks

##@ Database
.PHONY: migration
migration: $(READY) ## Draft a migration from the models: make migration M="add the column"
	@rm -f var/draft.db && mkdir -p var
	@$(BIN)/alembic -x url=sqlite+aiosqlite:///var/draft.db upgrade head
	@$(BIN)/alembic -x url=sqlite+aiosqlite:///var/draft.db revision --autogenerate -m "$(M)"

.PHONY: lock
lock: ## Pin every package anew (needs uv)
	@$(BIN)/uv pip compile --universal --quiet --no-header --python-version 3.11 --generate-hashes -o requirements.lock pyproject.toml
	@$(BIN)/uv pip compile --universal --quiet --no-header --python-version 3.11 --generate-hashes --extra dev -o requirements-dev.lock pyproject.toml

.PHONY: sbom
sbom: $(READY) ## What is in the image, as CycloneDX, to dist/sbom.json
	@mkdir -p dist && $(BIN)/python -m deploy.sbom > dist/sbom.json

.PHONY: vulnerabilities
vulnerabilities: $(READY) ## Ask the advisory database about the locked packages, if it can be reached
	@exec $(BIN)/python -m deploy.vulnerabilities

.PHONY: image
image: $(READY) ## Build the image without Docker, and make a payment through containers of it (root)
	@$(BIN)/python -m deploy.image
	@IMAGE=1 $(BIN)/python -m pytest -q -n 0 -s tests/image

.PHONY: clean
clean: ## Remove what can be made again; your data in var/ stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
