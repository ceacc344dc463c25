# Every target checks first that the tools it needs are there, and says how to get them where it cannot.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# So that a Rust installed a minute ago is found without a new shell.
export PATH := $(HOME)/.cargo/bin:$(PATH)

.PHONY: help build demo demo-local test test-cluster bench bench-cluster soak lint fmt generate cluster cluster-down image clean prerequisites

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: prerequisites ## build herald and kubectl-broadcast into target/release
	cargo build --release --locked

demo: prerequisites ## message 2,488 people from a cluster, delete a sender half way, compare both sides
	@dev/demo-cluster.sh

demo-local: prerequisites ## the same without a cluster, by herald run and a kill half way
	@dev/demo.sh

# The tests of the chart need the tools that lint has made ready. Most tests wait for slots, and so many run side by side;
# those whose pace is judged see to it themselves that they have the machine (tests/support/machine.rs).
test: lint ## run every check and every test
	@dev/mariadb-server.sh
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-8} dev/with-postgres.sh cargo test --locked
	@dev/cluster-tests.sh

test-cluster: prerequisites ## run the tests on a real cluster of their own, as root
	@dev/cluster-tests.sh

bench: prerequisites ## measure pace, efficiency and planning into docs/benchmarks.md (BENCH=quick: a minute)
	dev/with-postgres.sh cargo bench --locked --bench figures

bench-cluster: prerequisites ## measure what a cluster pays, into docs/benchmarks-cluster.md, as root
	@dev/cluster-bench.sh

soak: prerequisites ## every proof in large sizes, 1,000 kills among them, for half an hour (MINUTES=n); as root 200 in a cluster before
	dev/soak.sh $(or $(MINUTES),30)

lint: prerequisites ## check format, lints, documentation, licences
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	@if cargo deny --version >/dev/null 2>&1; then \
		cargo deny --log-level error check bans licenses sources; \
	else \
		echo "skipped: the check of licences and banned crates (cargo install --locked cargo-deny)"; \
	fi
	@dev/chart-tools.sh
	@dev/lint-chart.sh
	@dev/lint-scripts.sh

fmt: prerequisites ## format the sources
	cargo fmt

generate: prerequisites ## write crds/, their copy in the chart, and docs/reference/ anew from the code
	UPDATE_CRDS=1 cargo test --locked --test schema the_committed_definitions
	cp crds/*.yaml charts/herald/files/crds/
	UPDATE_REFERENCE=1 cargo test --locked --test reference the_page

cluster: ## start a Kubernetes of one node, as root (CLUSTER=context:NAME uses one of yours)
	@dev/cluster/up.sh

cluster-down: ## end it and leave nothing behind
	@dev/cluster/down.sh

image: prerequisites ## build localhost/herald:dev into target/image/herald.tar, without Docker
	@dev/image.sh

clean: ## remove what was built
	cargo clean

prerequisites:
	@dev/prerequisites.sh
