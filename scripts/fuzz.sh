#!/usr/bin/env bash
# Runs every fuzz target of the main module for FUZZTIME (default 20s).
set -euo pipefail
cd "$(dirname "$0")/.."

time=${FUZZTIME:-20s}
for package in $(scripts/packages.sh all); do
	dir=$(go list -f '{{.Dir}}' "$package")
	targets=$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$dir"/*_test.go 2>/dev/null || true)
	for target in $targets; do
		echo "$package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
	done
done
