#!/usr/bin/env bash
# Measures the statement coverage of the product by all tests and fails below
# the given percentage. Tests that run the real binary count, too: they are given
# one with counters, which writes them when it ends. The profile stays in
# coverage.out.
set -euo pipefail
cd "$(dirname "$0")/.."

least=${1:-85}
dir=$PWD/.cache/cover
rm -rf "$dir"
mkdir -p "$dir/tests" "$dir/binary"

product=$(scripts/packages.sh product | paste -sd , -)
export JETSTEP_TEST_BINARY=$PWD/.cache/cover/jetstep
CGO_ENABLED=0 go build -cover -coverpkg="$product" -o "$JETSTEP_TEST_BINARY" ./cmd/jetstep
# shellcheck disable=SC2046 # one argument for each package
GOCOVERDIR=$dir/binary go test -count=1 -timeout 20m -coverpkg="$product" \
	$(scripts/packages.sh all) -args -test.gocoverdir="$dir/tests"

go tool covdata textfmt -i="$dir/tests,$dir/binary" -pkg="$product" -o coverage.out
total=$(go tool cover -func=coverage.out | awk '/^total:/ { print $NF + 0 }')
echo "total coverage: $total % of statements (at least $least %)"
awk -v total="$total" -v least="$least" 'BEGIN { exit !(total >= least) }'
