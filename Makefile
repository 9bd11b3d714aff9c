# `make up` and `make test` are all a newcomer needs. ARGS is handed on: make test ARGS="tests/core -x"
# Tests run in several processes; in one, as a debugger needs it: make test ARGS="-n 0 --pdb tests/core"

BIN := .venv/bin
ARGS ?=
PICTURES ?= docs/screenshots/dashboards

.PHONY: help up test check golden mutants bench generate screenshots panels real-servers torch-tests new-collector new-alert clean

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-15s %s\n' "$$name" "$$text"; done

up: ## agent, analyzer and console on this machine (simulated fleet if it has no accelerator)
	@tools/bootstrap.sh all
	@exec $(BIN)/warpgauge up --demo auto $(ARGS)

test: ## all tests, in more processes than there are CPUs (tests/workers.py)
	@tools/bootstrap.sh test
	@$(BIN)/python -m pytest -n auto $(ARGS)

check: ## lint, format, types, import contracts, duplicated code
	@tools/bootstrap.sh test,check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/duplicates.py

golden: ## rewrite the golden files; review the diff like code
	@tools/bootstrap.sh test
	@$(BIN)/python -m pytest -n auto --golden $(ARGS)

mutants: ## plant known faults one at a time; the tests must notice each: make mutants ARGS="queue/ alerts/"
	@tools/bootstrap.sh test
	@$(BIN)/python tools/mutants.py $(ARGS)

bench: ## run every benchmark
	@tools/bootstrap.sh test
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python "$$file" $(ARGS) || exit 1; done

generate: ## rewrite the generated dashboards, alerts and reference pages
	@tools/bootstrap.sh all
	$(BIN)/warpgauge generate dashboards
	$(BIN)/warpgauge generate alerts
	$(BIN)/warpgauge generate dashboards --format kubernetes
	$(BIN)/warpgauge generate alerts --format kubernetes
	$(BIN)/warpgauge generate docs

panels: ## build the page that draws panels with Grafana's own components (npm) into .cache/panels
	@mkdir -p .cache/panels
	cp tools/panels/* .cache/panels/
	cd .cache/panels && npm install --legacy-peer-deps --no-package-lock --no-audit --no-fund && npx vite build

screenshots: panels ## draw every dashboard with it (npm, Chromium) into docs/screenshots/dashboards, or PICTURES=FOLDER
	@tools/bootstrap.sh all,test
	WARPGAUGE_PICTURES=$(PICTURES) $(BIN)/python -m pytest tests/dashboards/test_pictures.py

real-servers: ## build the servers that Debian lacks (Prometheus 3 …) for the tests, with Go and Maven; minutes the first time
	@python3 tools/built_servers.py $(ARGS)

torch-tests: ## install PyTorch (5 GB) into .cache/peers/torch and run the tests that need it
	@tools/bootstrap.sh test
	@$(BIN)/python tools/peers.py torch
	@$(BIN)/python -m pytest -rs tests/e2e/test_lockstep.py tests/examples/test_torch_loops.py $(ARGS)

new-collector: ## write a new collector with its test: make new-collector NAME=x
	@tools/bootstrap.sh test
	@$(BIN)/python tools/new_collector.py "$(NAME)"
	@$(BIN)/warpgauge generate docs
	@$(BIN)/python -m pytest --quiet --no-header --golden tests/cli

new-alert: ## write a new alert with its runbook and test: make new-alert NAME=x
	@tools/bootstrap.sh all
	@$(BIN)/python tools/new_alert.py "$(NAME)"

clean: ## remove everything that can be made again
	rm -rf .venv .cache build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
