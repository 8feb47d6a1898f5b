#!/usr/bin/env bash
# Checks the form of all Go code. Fails on the first kind of finding.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "gofmt"
unformatted=$(find . -name node_modules -prune -o -name .git -prune -o -name '*.go' -print0 | xargs -0 gofmt -l)
if [ -n "$unformatted" ]; then
	printf 'not formatted, run gofmt -w:\n%s\n' "$unformatted" >&2
	exit 1
fi

packages=$(scripts/packages.sh all)
echo "go vet"
xargs go vet <<<"$packages"
echo "staticcheck"
xargs go run honnef.co/go/tools/cmd/staticcheck <<<"$packages"

scripts/modules.sh | while read -r module; do
	echo "go vet in $module"
	(cd "$module" && go vet ./...)
done
