# Every target installs what it needs and only that; INTERFACES of each stand in README.md. CI calls `make lint` and `make test` and nothing else.
SHELL := /bin/bash
.DEFAULT_GOAL := help

.PHONY: help dev test bench lint fmt stack stack-down stack-clean cluster cluster-down

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

dev: ## build and run a demo server on the embedded default, in the foreground
	@scripts/dev

test: ## install what is missing, start real servers on free ports, run every test, stop them
	@scripts/test

bench: ## build a release, run the benches on both engines, print each figure beside its limit (takes half an hour and all cores)
	@scripts/bench

lint: ## rustfmt, clippy with warnings denied, cargo-deny, crate arrows
	@scripts/lint

fmt: ## format every crate
	@scripts/fmt

stack: ## start Kafka, two MariaDB and two memcached here, under target/stack (BROKERS=1 or 3)
	@scripts/stack up

stack-down: ## stop them and what `make cluster` started, keep the data
	@scripts/stack down

stack-clean: ## stop them and drop the data
	@scripts/stack clean

cluster: ## the stack with three brokers, and on it two processes each of ingest, gateway and project; prints the gateways' addresses
	@scripts/stack cluster

cluster-down: ## stop them, roles first, keep the data
	@scripts/stack cluster-down

