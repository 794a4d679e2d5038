.DEFAULT_GOAL := help
.PHONY: help setup run demo test testpostgres check fmt trials faults clean
BIN := .venv/bin
CODE := models audit training reports service tests

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

setup: .venv/.complete ## make .venv with everything locked in it

.venv/.complete: uv.lock pyproject.toml deploy/bootstrap.sh
	@sh deploy/bootstrap.sh

run: setup ## train what is missing, serve on 127.0.0.1:8000, MLflow UI on 127.0.0.1:5000
	@$(BIN)/candor demo --keep-running

demo: setup ## decide, explain, record, prove and replay one order, then end
	@$(BIN)/candor demo

check: setup ## lint, types, layers
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## every check and every test
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends postgresql >/dev/null; }
	@{ command -v go && ls -d /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog; } >/dev/null 2>&1 || ! command -v apt-get >/dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends golang-go golang-golang-x-mod-dev >/dev/null; }
	@command -v openssl >/dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends openssl >/dev/null; }
	@command -v pgbouncer >/dev/null || test -x /usr/sbin/pgbouncer || apt-get install -qq -y --no-install-recommends pgbouncer >/dev/null
	@command -v strace >/dev/null || apt-get install -qq -y --no-install-recommends strace >/dev/null
	@command -v curl >/dev/null || apt-get install -qq -y --no-install-recommends curl >/dev/null
	$(BIN)/python -m pytest --cov --cov-report=term-missing -n 2 --dist loadgroup -m "not trial"

testpostgres: setup ## every test on PostgreSQL, but those about SQLite itself (long)
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not trial" --database postgresql tests

trials: setup ## long runs on real data and full sizes (needs the public data sets, see docs/trials.md)
	$(BIN)/python -m pytest -m trial -n 0 -s tests

faults: setup ## long fault runs: kill -9 under load, attacks, erasures
	$(BIN)/python -m pytest -m trial -n 0 -s tests/journeys tests/attacks

fmt: setup ## format and mend what can be mended
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

clean: ## remove what can be made again, keeping var/
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
