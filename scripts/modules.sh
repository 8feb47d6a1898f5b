#!/usr/bin/env bash
# Prints the directories of Go modules below tests, one a line: programs that
# use an SDK, whose dependencies must not become the server's.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -d tests ] || exit 0
find tests -name node_modules -prune -o -name go.mod -exec dirname {} \; | sort
