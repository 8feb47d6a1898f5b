#!/usr/bin/env bash
# Runs all tests. JETSTEP_TEST_BINARY should name a fresh binary (see Makefile).
set -euo pipefail
cd "$(dirname "$0")/.."

echo "tests with the race detector"
scripts/packages.sh race | xargs go test -race -timeout 10m

process=$(scripts/packages.sh process)
if [ -n "$process" ]; then
	echo "tests of processes"
	# One package at a time: what they start needs the machine. Not from the
	# cache, which does not know all that they depend on.
	xargs go test -p 1 -count=1 -timeout 15m <<<"$process"
fi

# On Redis the apps do the same.
echo "apps on Redis"
JETSTEP_TEST_ENGINE=redis go test -count=1 -timeout 15m ./tests/sdk

scripts/modules.sh | while read -r module; do
	echo "tests in $module"
	(cd "$module" && go test ./... </dev/null)
done
