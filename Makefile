.DEFAULT_GOAL := help
BIN := .venv/bin/
# The first Python that is new enough; another one: make PYTHON=/path/to/python3.12 ...
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP := $(BIN)python -m pip --disable-pip-version-check --quiet

help:       ## Show these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t12

run: .venv/run       ## Set up, serve, send a first mail (the first command of the README)
	@$(BIN)posthouse quickstart --directory var/dev

test: .venv/dev      ## Set up and run every test that can run here (the second command of the README)
	$(BIN)pytest -q

check: .venv/dev     ## Style, types, layers
	$(BIN)ruff format --check .
	$(BIN)ruff check .
	$(BIN)mypy
	$(BIN)lint-imports

quick: .venv/dev     ## The tests that need no second process
	$(BIN)pytest -q -m "not slow and not peer"

fuzz: .venv/dev      ## Feed each parser a minute of hostile input (POSTHOUSE_FUZZ_SECONDS=60)
	POSTHOUSE_FUZZ_SECONDS=$${POSTHOUSE_FUZZ_SECONDS:-60} POSTHOUSE_FUZZ_SEED=$${POSTHOUSE_FUZZ_SEED:-$$(date +%s)} \
		$(BIN)pytest -s --timeout 0 tests/fuzz

kill: .venv/dev      ## Kill the server 50 times under load and count what is lost (POSTHOUSE_KILLS=50)
	$(BIN)python -m tests.durability.killing --cycles $${POSTHOUSE_KILLS:-50}

format: .venv/dev    ## Rewrite the code in house style
	$(BIN)ruff format .
	$(BIN)ruff check --fix .

peers:      ## Install the mail programs of others that some tests talk to (Debian, as root; optional)
	./tests/peers/install

docs: .venv/dev      ## Make the generated pages again
	$(BIN)python -m docs.generate

bench: .venv/dev     ## Measure beside Postfix and Dovecot (BENCH=--quick: 3 minutes; ./bench/install first)
	$(BIN)python -m bench $(BENCH)

lock:       ## Renew the locked dependencies (needs uv)
	uv pip compile --generate-hashes --no-header --no-annotate --universal --python-version 3.11 \
		-q pyproject.toml requirements/build.in -o requirements/run.txt
	uv pip compile --generate-hashes --no-header --no-annotate --universal --python-version 3.11 \
		-q pyproject.toml requirements/build.in --group dev -o requirements/dev.txt

clean:      ## Remove the environment and what a development server kept
	rm -rf .venv var

.venv/python:
	@test -n "$(PYTHON)" || { echo "Posthouse needs Python 3.11 or newer: install it, or say make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python cannot make environments. On Debian and Ubuntu: apt install python3-venv"; exit 2; }
	@echo "Making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/run: .venv/python requirements/run.txt pyproject.toml
	@echo "Installing what Posthouse needs to run"
	@$(PIP) install --require-hashes -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/run requirements/dev.txt
	@echo "Installing what its tests need"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: help run test check quick fuzz kill format peers docs bench lock clean
