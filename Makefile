# `make run` and `make test` need Python 3.11, 3.12 or 3.13 and nothing else.

.PHONY: clients deploy-check real-machine bench bench-launch bench-promises bench-costs soak run test quick check format lint prose types imports audit pytest fmt lock schema docs wire-names histories payloads recording console graphiql clean venv
.SILENT:

BIN := .venv/bin

run: venv            ## the whole service, on simulated clouds unless the environment says otherwise
	exec $(BIN)/python server.py

test: check pytest   ## all that must hold before a change is handed over

check: format lint prose types imports audit

format: venv
	echo "format"; $(BIN)/ruff format --check --quiet . || { echo "some files are not formatted: make fmt" >&2; exit 1; }

lint: venv
	echo "lint"; $(BIN)/ruff check --quiet .

prose: venv          ## whether docstrings, comments and pages are plain English: deploy/prose_meter.py FOLDER names the places
	echo "prose"; $(BIN)/python deploy/prose_meter.py

types: venv
	echo "types"; $(BIN)/mypy .

imports: venv
	echo "imports"; words=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$words" >&2; exit 1; }

audit: venv          ## known weaknesses of the packages we lock; says loudly when it could not look
	exec $(BIN)/python deploy/audit.py

pytest: venv         ## the tests on all cores, or those that TESTS names: TESTS=tests/launch
	exec env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n auto --maxschedchunk 1 $(TESTS)

# All that needs no engine, no process of its own and no time to pass.
QUICK := auth billing models placement providers resolvers schema simulator/bucket simulator/tensordock
quick: venv          ## the tests for while one works: in under two minutes, most of what can break
	exec env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n auto -q --ignore-glob='tests/providers/test_cloudypad_*' \
		$(addprefix tests/,$(QUICK))

fmt: venv            ## format, and mend what ruff can mend
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --quiet

lock:                ## pin what pyproject.toml asks for, with hashes
	command -v uv >/dev/null || { echo "make lock needs uv: pipx install uv" >&2; exit 1; }
	$(COMPILE) --output-file requirements.lock
	$(COMPILE) --output-file requirements-dev.lock --all-extras --constraint requirements.lock
	cd cli && $(COMPILE) --output-file requirements.lock --constraint ../requirements-dev.lock

schema: venv         ## graphql/schema.graphql from the code
	exec $(BIN)/python -m schema.snapshot

bench: venv          ## this gateway beside other GraphQL servers, into bench/RESULTS.md; some minutes
	$(BIN)/python -m bench.side_by_side --write
	$(BIN)/python -m bench.subscriptions --write
	$(BIN)/python -m bench.placement --write
	$(BIN)/python -m bench.execution --write
	$(BIN)/python -m bench.tracing --write

bench-costs: venv    ## how long a year's costs take to report; ten minutes, and one with what .bench keeps
	exec $(BIN)/python -m bench.costs --cache .bench

bench-promises: venv ## whether nine of ten launches are playable within their promise; SEED=N chooses other launches
	exec $(BIN)/python -m bench.promises $(if $(SEED),--seed $(SEED))

bench-launch: venv   ## how long launches take, cold, from images and warm, and where the time goes; AGAINST=COMMIT compares with an earlier commit
	exec $(BIN)/python -m bench.launch $(if $(AGAINST),--against $(AGAINST))

real-machine: venv   ## what the service does on a machine, on a real Linux machine; needs root
	exec $(BIN)/python -m tests.real_machine $(TESTS)

soak: venv           ## 200 machines in bad days, and whether all books agree; half an hour
	exec $(BIN)/python -m bench.soak --machines 200

drills: venv         ## upgrades and outages by really doing them; docs/drills.md says which, and what the variables are
	exec $(BIN)/python -m bench.drills $(if $(ONLY),--only $(ONLY)) $(if $(LAUNCHES),--launches $(LAUNCHES)) \
		$(if $(CLIENTS),--clients $(CLIENTS)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(WRITE),--write)

docs: venv           ## what documents say by themselves: the settings in README.md, who may call what, the REST paths
	$(BIN)/python -m docs.settings_table
	$(BIN)/python -m auth.authorization
	$(BIN)/python -m docs.rest_page
	$(BIN)/python -m schema.manifests

wire-names: venv     ## tests/wire_names.txt from the code, after a name was changed on purpose
	exec $(BIN)/python -m tests.wire_names

CHECKS := .deploy-check/bin
deploy-check: .deploy-check/installed   ## linters of deploy/: Terraform, Dockerfile, Compose; in an environment of their own
	echo "hadolint"; $(CHECKS)/hadolint deploy/Dockerfile
	echo "compose"; $(CHECKS)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	echo "yamllint"; $(CHECKS)/yamllint --config-data '{extends: relaxed, rules: {line-length: disable}}' deploy
	echo "checkov"; $(CHECKS)/checkov --quiet --compact --config-file deploy/checkov.yaml
	deploy/validate-terraform

.deploy-check/installed: deploy/check-requirements.txt
	$(BIN)/python -m venv .deploy-check
	$(CHECKS)/pip install --quiet --requirement deploy/check-requirements.txt
	touch $@

histories: venv      ## histories of every workflow's paths, as the code of today writes them, into tests/histories/DATE
	exec $(BIN)/pytest tests/histories/record.py

payloads: venv       ## what today's activities, workflows and updates are sent, added to tests/payloads/messages.json
	exec $(BIN)/python -m tests.payloads.record

recording: venv      ## a launch at a running service, written into README.md
	exec $(BIN)/python -m docs.record_launch

console:             ## web/console/dist from its sources; needs Node 20.19 or later
	cd web/console && npm ci --ignore-scripts --no-audit --no-fund && npm run build

graphiql:            ## web/graphiql/dist from its sources; needs Node 20 or later
	cd web/graphiql && npm ci --ignore-scripts --no-audit --no-fund && npm run build

clients:             ## docs/clients from graphql/; needs Node 20 or later
	$(BIN)/python -m schema.manifests
	cd tests/clients/node && npm ci --ignore-scripts --no-audit --no-fund && npm run types

clean:               ## what can be made again; .data stays
	rm -rf .venv .deploy-check .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis web/console/node_modules web/graphiql/node_modules tests/web/node/node_modules tests/clients/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	deploy/python deploy/environment.py
