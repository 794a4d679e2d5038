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
	@sh deploy/test-packages.sh
	$(BIN)/python -m pytest --cov --cov-report=term-missing -n 2 --dist loadgroup -m "not trial"

testpostgres: setup ## every test on PostgreSQL, but those about SQLite itself (long)
	@sh deploy/test-packages.sh
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not trial" --database postgresql tests

trials: setup ## long runs on real data and full sizes (needs the public data sets, see docs/trials.md)
	@sh deploy/test-packages.sh
	$(BIN)/python -m pytest -m trial -n 0 -s tests

faults: setup ## long fault runs: failing system calls, power cuts, full disks, kills, attacks, erasures; report in var/faults
	@sh deploy/test-packages.sh
	FAULT_REPORT=$${FAULT_REPORT:-var/faults} $(BIN)/python -m pytest -m trial -n 0 -s tests/faults tests/journeys tests/attacks

fmt: setup ## format and mend what can be mended
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

clean: ## remove what can be made again, keeping var/
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
