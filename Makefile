.PHONY: generate
generate: ## what is derived from crds/ and the chart
	hack/generate.sh
