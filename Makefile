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

build: ## the one binary, bin/postern
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X $(RELEASE)=$(VERSION)' -o bin/postern ./cmd/postern

cross: ## the program for linux, darwin and windows on amd64 and arm64, to see that it builds
	./hack/cross-build

demo: build ## the main job, on this machine's kernel; DEMO_ONCE=1 ends by itself
	./bin/postern demo $(if $(DEMO_ONCE),--once)

demo-app: build ## a managed application: two tenants, an activation that needs approval, a port opened under it; DEMO_ONCE=1 ends by itself
	./bin/postern demo --app $(if $(DEMO_ONCE),--once)

test: ## all tests; installs what they need on Debian and Ubuntu as root, and elsewhere names what is skipped
	./hack/prepare-tests
	./hack/run-tests

test-azure-next: ## az and the Azure SDK for Python of the next Debian, in a root of it under tmp; as root on Debian
	./hack/test-azure-next

properties: ## every property test with CHECKS checks and a fresh seed
	./hack/run-properties $(CHECKS)

never-late: ## packets about the end of OPENINGS openings in each of four parts (quiet, busy, reconnected, dead): none late; needs root, takes minutes
	POSTERN_NEVER_LATE=$(OPENINGS) $(GO) test ./test/e2e -run '^TestNeverLate$$' -count=1 -v -timeout 30m

lint: $(TOOLS)/golangci-lint ## format, vet, static analysis, tidy modules
	$(TOOLS)/golangci-lint run ./...
	$(GO) mod tidy -diff
	$(GO) mod verify

bench: ## the figures of docs/performance.md
	./hack/run-benchmarks

fuzz: ## every fuzz target for FUZZTIME each
	./hack/run-fuzz $(FUZZTIME)

web: ## the portal into internal/portal/dist, from web/; needs Node
	./hack/build-web

screenshots: build ## the pictures of the README, into docs/screenshots, and of every page in every form, into tmp/screenshots
	./hack/prepare-tests
	POSTERN_SCREENSHOTS=$(CURDIR)/docs/screenshots POSTERN_SCREENSHOTS_ALL=$(CURDIR)/tmp/screenshots $(GO) test ./test/browser -run TestScreenshots -count=1

generate: ## rewrite generated files: the OpenAPI document and golden files
	$(GO) test ./internal/httpapi -run TestOpenAPI -update

clean:
	rm -rf bin tmp

$(TOOLS)/golangci-lint:
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
