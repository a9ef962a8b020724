# The Regional Aid Network on one machine. `make help` lists what there is.
# Needs Python 3.11 or newer and make; everything else comes from packages whose digests are pinned.

SHELL := /bin/bash
PYTHON ?= python3
PY := .venv/bin/python
STACK := $(PY) -m deploy.local
PROTOS := $(wildcard proto/aid/*/v*/*.proto)
PHASES := unit property contract integration story chaos
SERVICES := intake matching logistics
# pip shows its progress to a person, and only what went wrong to a log.
QUIET := $(shell test -t 2 || echo --quiet)
# No plugin of another suite, and no fixture that starts Kafka: the fast tests pay for nothing that they do not use.
UNIT := $(PY) -m pytest -q -p no:schemathesis --confcutdir=tests/unit tests/unit
export PYTHONPATH := $(CURDIR):$(CURDIR)/.gen
# What was compiled is kept: without it each process compiles all of our code anew, a second at a time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup proto baseline up down status memory clean-data demo advance test unit check format import export \
	bench-path bench-import bench-intake bench-search audit parked replay reseed picture-rebuild backup restore new-kek rotate-keys

help: ## What can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.stamp .gen/.stamp .venv/.warm ## Fetch and generate all that is needed; everything else does this first

.venv/.stamp: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with PYTHON=...")'
	@test -x $(PY) || { echo "setup: an environment of its own for Python, in .venv"; $(PYTHON) -m venv .venv; }
	@echo "setup: the Python packages of requirements.lock (a minute or more at the first time)"
	@$(PY) -m pip install $(QUIET) --disable-pip-version-check --require-hashes --no-deps -r requirements.lock \
		|| { echo "The Python packages cannot be installed; pip says above why. See to the network, or name the" \
		"proxy in HTTPS_PROXY and its certificates in PIP_CERT; then run \`make setup\` again." >&2; exit 1; }
	@touch $@

.gen/.stamp: .venv/.stamp deploy/local/stubs.py $(PROTOS)
	@echo "setup: the code of the contracts, into .gen"
	@$(PY) -m deploy.local.stubs

.venv/.warm: .venv/.stamp deploy/local/kafka.lock
	@echo "setup: Kafka, PostgreSQL and Prometheus, into the cache of this user"
	@$(STACK) warm
	@touch $@

proto: .venv/.stamp ## Generate the stubs of the contracts again
	@$(PY) -m deploy.local.stubs

baseline: setup ## Accept the contracts as they are now as what may not be broken
	@$(PY) -m deploy.local.contracts baseline

up: setup ## Bring the stack up; OPTIONS="--stepped" for domain time that `make advance` moves
	@$(STACK) up $(OPTIONS)

down: setup ## Take the stack down; its data stay
	@$(STACK) down

status: setup ## Every address and process of the running stack
	@$(STACK) status

memory: setup ## Resident size of each process of the running stack
	@$(STACK) memory

clean-data: setup ## Forget all data, keys and passwords of the stack
	@$(STACK) clean-data

demo: setup ## Play the story of one household on a network of its own
	@$(PY) -m deploy.local.demo

advance: setup ## Move domain time: BY=3d, 2h, 90s
	@$(STACK) advance "$(or $(BY),$(error say how far: make advance BY=3d))"

export: setup ## Take an agency's cases out as a HMIS CSV export: AGENCY=uuid TO=file.zip
	@$(STACK) run intake export --agency "$(or $(AGENCY),$(error say whose: make export AGENCY=uuid TO=file.zip))" \
		--to "$(abspath $(or $(TO),$(error say where to: make export AGENCY=uuid TO=file.zip)))" $(OPTIONS)

import: setup ## Take over a HMIS CSV export into the running stack: FILE=folder or zip
	@$(STACK) run intake import "$(or $(FILE),$(error say which: make import FILE=export.zip))" $(OPTIONS)

backup: setup ## Back every database up, and the keys apart from them for three days: INTO=folder
	@$(STACK) backup $(if $(INTO),--into "$(INTO)") $(OPTIONS)

restore: setup ## Put databases back; who was erased stays erased: FROM=folder OPTIONS="--service intake --keys FILE"
	@$(STACK) restore "$(or $(FROM),$(error say from where: make restore FROM=.state/backups/vault/...))" $(OPTIONS)

new-kek: setup ## Put a new key-encryption key before the others
	@$(STACK) new-kek

rotate-keys: setup ## Renew wrapped keys while intake runs: WHAT=kek, or WHAT=agency AGENCY=id (all without)
	@$(STACK) run intake rotate-keys $(or $(WHAT),kek) $(AGENCY)

test: setup ## Every test: unit, property, contract, integration, story, chaos
	@$(PY) -m pytest $(wildcard $(PHASES:%=tests/%))

unit: setup ## The fast tests: domains and chassis, in under 5 s
	@$(UNIT)

check: setup ## Style, types, layers, contracts, unit tests
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy deploy services tests
	@$(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
	@$(PY) -m deploy.local.contracts lint
	@$(PY) -m deploy.local.contracts breaking
	@$(UNIT)

format: setup ## Lay the code out as `make check` wants it
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

bench-path: setup ## How fast a need becomes a referral, beside the floor of the bare durable path
	@$(PY) -m tests.bench.path $(OPTIONS)

bench-intake: setup ## How many cases intake accepts a second at each door, beside a bare server
	@$(PY) -m tests.bench.intake $(OPTIONS)

bench-import: setup ## How fast a large HMIS export is taken over, beside COPY: ENROLMENTS=1000000
	@$(PY) -m tests.bench.hmis.run --enrolments $(or $(ENROLMENTS),100000) $(OPTIONS)

bench-search: setup ## An agency with 100,000 persons: how fast its search warms up and answers, and whom it finds
	@$(PY) -m tests.bench.search $(OPTIONS)

audit: setup ## Compare what was sent with what was taken in, topic by topic and key by key
	@$(STACK) audit

parked: setup ## Events that a service could not take in, and what waits behind them
	@for service in $(SERVICES); do echo "$$service:"; $(STACK) run $$service parked $(OPTIONS) || exit; done

replay: setup ## Take parked events in again, in order: SERVICE=matching OPTIONS="--topic T --key K"
	@$(STACK) run "$(or $(SERVICE),$(error say whose: make replay SERVICE=matching))" replay $(OPTIONS)

reseed: setup ## Publish full state again: SERVICE=intake OPTIONS="--topic T --key K"
	@$(STACK) run "$(or $(SERVICE),$(error say whose: make reseed SERVICE=intake))" reseed $(OPTIONS)

picture-rebuild: setup ## Forget the regional picture and derive it again from the topics
	@$(STACK) run picture rebuild
