.DEFAULT_GOAL := help
SAMPLE := deploy/samples/pipz-to-odoo
.PHONY: help build demo test bench generate clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

build: ## target/release/crmferry, and kubectl-crmferry beside it
	cargo build --release --locked
	ln -sf crmferry target/release/kubectl-crmferry

demo: build ## the sample through its whole life on an Odoo in memory
	rm -rf target/demo
	target/release/crmferry run -f $(SAMPLE)/mapping.yaml $(SAMPLE)/migration.yaml --exports $(SAMPLE)/exports --workspace target/demo --approve mapping --approve cutover

test: ## everything, on a real Kubernetes and a real Odoo (root on Debian 12, Rust, Go; 40 minutes the first time)
	python3 -B tests/all.py

bench: ## transform and load, in records a second
	cargo bench --locked

generate: ## what is derived from the types and the chart: crds/, the chart's CRDs, deploy/install.yaml
	UPDATE_GOLDEN=1 cargo test --locked --quiet --test it crds
	PATH="$$(tests/testbed/tools.sh):$$PATH" hack/generate.sh

clean: ## removes target/; the test bed goes with tests/testbed/down.sh --purge
	cargo clean
