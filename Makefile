# Few commands, the same here and in CI. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help install demo live unit test test-containers check bench bench-market fuzz chaos soak audit release kafka grafana-frontend dashboards documents lock format clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
# As many processes as there are cores; a file's tests in one, so that what they share is made once.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder
DEMO_ARGUMENTS ?=
TEST_ARGUMENTS ?=

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

# The lock file names every package with its hash; a change of it, or of the project's metadata, installs again.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else "liqheat needs Python 3.11 to 3.13, this is %d.%d; try: make PYTHON=python3.12 ..." % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo 'Cannot make a virtual environment: install the package python3-venv'; exit 1; }
	@echo 'Installing the locked packages into $(VENV) (a minute or two, once) ...'
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

install: $(STAMP) ## locked packages into .venv

demo: $(STAMP) kafka ## run everything on a simulated exchange: no Docker, no network, no accounts
	@$(BIN)/liqheat demo $(DEMO_ARGUMENTS)

live: $(STAMP) kafka ## the same on the real public feeds
	@$(BIN)/liqheat live $(DEMO_ARGUMENTS)

unit: $(STAMP) ## unit tests only: no socket, no broker, no browser
	@$(BIN)/pytest -q $(PARALLEL) tests/unit $(TEST_ARGUMENTS)

test: $(STAMP) kafka grafana-frontend ## every test that runs without Docker
	@$(BIN)/python -m tests.parts -m 'not bench and not docker' $(TEST_ARGUMENTS)

test-containers: $(STAMP) kafka ## build the image and run the compose file's services in containers (Docker or Podman)
	@$(BIN)/pytest -m docker tests/containers $(TEST_ARGUMENTS)

check: $(STAMP) ## format, lint and types, over the tests too
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m deploy.grafana.src.build --check
	@$(BIN)/python -m deploy.compose --check

bench: $(STAMP) kafka ## measure; prints figures and ratios, passes or fails nothing
	@$(BIN)/pytest -m bench -s -q --timeout=1200 tests/bench

MARKETS ?= 36,340,1700
MINUTES ?= 10
bench-market: $(STAMP) kafka ## what the real services cost on a load like the real markets' (MARKETS=1700 MINUTES=2 for a short look)
	@$(BIN)/python -m tests.bench.market --markets $(MARKETS) --minutes $(MINUTES)
	@$(BIN)/python -m tests.bench.market.catch_up

FRAMES ?= 1000000
fuzz: $(STAMP) ## spoil a million frames per venue and as many Kafka messages (FRAMES=...)
	@$(BIN)/pytest -q --timeout=0 --frames $(FRAMES) tests/property/test_fuzz_frames.py tests/property/test_fuzz_messages.py tests/property/test_fuzz_engine.py

FAULTS ?= 200
SEED ?= 1
LIMIT ?= 0
chaos: $(STAMP) kafka ## random faults on the whole pipeline, then every row compared (FAULTS=200 SEED=1 LIMIT=0 seconds)
	@$(BIN)/python -m tests.chaos.run --faults $(FAULTS) --seed $(SEED) --limit $(LIMIT)

DURATION ?= 1800
SPEED ?= 48
soak: $(STAMP) kafka ## a simulated day, sped up: memory and open files of each service (DURATION=1800 SPEED=48)
	@$(BIN)/python -m tests.soak.run --seconds $(DURATION) --speed $(SPEED)

audit: $(STAMP) ## known vulnerabilities of the locked packages, as far as the registry shows
	@$(BIN)/python -m deploy.audit

release: $(STAMP) ## source archive, wheel, list of components and checksums of what is committed, into dist/
	@deploy/release.sh

# Apache Kafka for demo, live and the tests where Java and Maven are; elsewhere the tests take the embedded broker and say so.
kafka: $(STAMP)
	@if command -v java >/dev/null && command -v mvn >/dev/null; then \
	  test -d .cache/kafka/lib || { echo 'Fetching Apache Kafka from Maven ...'; \
	    mvn -q -B -C -f deploy/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/.cache/kafka/lib.part \
	    && mv .cache/kafka/lib.part .cache/kafka/lib; }; \
	else echo 'Java or Maven is missing: the embedded broker is used'; fi

# Grafana's own packages, which some tests ask how a panel reads a query; without Node those skip and say so.
FRONTEND := tests/grafana_frontend
grafana-frontend:
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
	  test $(FRONTEND)/node_modules/.package-lock.json -nt $(FRONTEND)/package-lock.json || { \
	    echo 'Installing the locked npm packages of $(FRONTEND) ...'; cd $(FRONTEND) && npm ci --silent; }; \
	else echo "Node or npm is missing: tests with Grafana's front-end packages are skipped"; fi

dashboards: $(STAMP) ## generate Grafana's dashboards from their sources
	@$(BIN)/python -m deploy.grafana.src.build

documents: $(STAMP) ## write what follows from the code: settings, data dictionary, lists of the compose file
	@$(BIN)/liqheat settings --write deploy/settings.md
	@$(BIN)/liqheat dictionary --write sinks/README.md
	@$(BIN)/python -m deploy.compose

RESOLVE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet
lock: $(STAMP) ## resolve the dependencies again into the lock files
	@$(BIN)/$(RESOLVE) --extra local --extra dev --upgrade --output-file requirements.lock
	@$(BIN)/$(RESOLVE) --constraint requirements.lock --output-file deploy/docker/requirements.lock

format: $(STAMP) ## rewrite the sources in the house format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## remove what was installed and made (not your data)
	rm -rf $(VENV) .cache $(FRONTEND)/node_modules build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
