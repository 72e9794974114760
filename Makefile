# Every target works from a fresh clone. Tools are installed at pinned versions into ./tmp/tools, never into go.mod.
SHELL := /bin/bash
GO ?= go
VERSION ?= $(shell ./hack/version)
RELEASE := github.com/postern-dev/postern/internal/cli.release
TOOLS := $(CURDIR)/tmp/tools
GOLANGCI_VERSION := v2.15.0
FUZZTIME ?= 10s
CHECKS ?= 10000
OPENINGS ?= 10000

.PHONY: build cross demo demo-app test test-azure-next properties never-late lint bench fuzz web screenshots generate clean

build: ## build bin/postern
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X $(RELEASE)=$(VERSION)' -o bin/postern ./cmd/postern

cross: ## cross-compile for linux, darwin and windows on amd64 and arm64
	./hack/cross-build

demo: build ## run the demo on this host's kernel; DEMO_ONCE=1 exits at the end
	./bin/postern demo $(if $(DEMO_ONCE),--once)

demo-app: build ## run the demo of a managed application: two tenants, an approved activation, a port; DEMO_ONCE=1 exits at the end
	./bin/postern demo --app $(if $(DEMO_ONCE),--once)

test: ## run all tests; as root on Debian and Ubuntu, install their dependencies; elsewhere list what is skipped
	./hack/prepare-tests
	./hack/run-tests

test-azure-next: ## test az and the Azure SDK for Python of the next Debian release, in a root file system under tmp; as root on Debian
	./hack/test-azure-next

properties: ## run every property test with CHECKS checks and a fresh seed
	./hack/run-properties $(CHECKS)

never-late: ## send packets around the end of OPENINGS openings in four parts (quiet, busy, reconnected, dead); needs root, takes minutes
	POSTERN_NEVER_LATE=$(OPENINGS) $(GO) test ./test/e2e -run '^TestNeverLate$$' -count=1 -v -timeout 30m

lint: $(TOOLS)/golangci-lint ## check format, vet, static analysis and tidy modules, and the portal's source
	$(TOOLS)/golangci-lint run ./...
	$(GO) mod tidy -diff
	$(GO) mod verify
	./hack/lint-web

bench: ## measure the figures of docs/performance.md
	./hack/run-benchmarks

fuzz: ## run every fuzz target for FUZZTIME each
	./hack/run-fuzz $(FUZZTIME)

web: ## build the portal from web/ into internal/portal/dist; needs Node
	./hack/build-web

screenshots: build ## take the README's screenshots (docs/screenshots), and those of every page (tmp/screenshots)
	./hack/prepare-tests
	POSTERN_SCREENSHOTS=$(CURDIR)/docs/screenshots POSTERN_SCREENSHOTS_ALL=$(CURDIR)/tmp/screenshots $(GO) test ./test/browser -run TestScreenshots -count=1

generate: ## rewrite generated files: the OpenAPI document and golden files
	$(GO) test ./internal/httpapi -run TestOpenAPI -update

clean:
	rm -rf bin tmp

$(TOOLS)/golangci-lint:
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
