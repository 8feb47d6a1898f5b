# `make help` lists the targets; CONTRIBUTING.md says more about them.

.DEFAULT_GOAL := build

# A build of the tag v1.2.3 is "1.2.3-<commit>", three commits later it is
# "1.2.3-3-<commit>", and without any tag "dev-<commit>".
VERSION := $(shell git describe --tags --match 'v*' --dirty 2>/dev/null | sed -E 's/^v//; s/-g[0-9a-f]+//')
COMMIT  := $(shell git rev-parse --short HEAD 2>/dev/null)
LDFLAGS := $(if $(VERSION),-X main.version=$(VERSION)) -X main.commit=$(COMMIT)

BIN := bin/jetstep

# Tests that run the real binary use this one instead of building their own.
export JETSTEP_TEST_BINARY := $(CURDIR)/$(BIN)

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

.PHONY: build
build: ## build bin/jetstep
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/jetstep

.PHONY: dev
dev: build ## build and run the development server (ARGS="-u http://localhost:3000/api/inngest")
	$(BIN) dev $(ARGS)

.PHONY: tools
tools: ## install what the tests need and this machine lacks
	scripts/install-test-tools.sh

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	scripts/lint.sh

.PHONY: test
test: tools lint build ## all checks and tests, with the race detector
	scripts/test.sh

.PHONY: test-fast
test-fast: build ## the tests that are quick, without the race detector
	scripts/packages.sh all | xargs go test -short

.PHONY: cover
cover: tools ## measure statement coverage, with that of the real binary; fails below 85 %
	scripts/cover.sh 85

.PHONY: bench
bench: ## run the benchmarks
	scripts/packages.sh all | xargs go test -run '^$$' -bench . -benchmem

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (default 20s)
	scripts/fuzz.sh

.PHONY: generate
generate: ## run go generate
	scripts/packages.sh all | xargs go generate

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf bin .cache coverage.out coverage.html
