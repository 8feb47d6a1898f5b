#!/usr/bin/env bash
# Prints packages of the main module, one a line:
#   all       every package
#   race      those whose tests run with the race detector
#   process   those whose tests drive separate processes; they wait for real
#             time, which the race detector would only stretch
#   product   what coverage is measured of: all but the tests' machinery and generated code
set -euo pipefail
cd "$(dirname "$0")/.."

# npm packages can contain Go code, which is none of ours.
all=$(go list ./... | grep -v /node_modules/)
process='^jetstep/tests/(sdk|crash|bench|readmodel|load|redis|drain|migrate)(/|$)'
machinery='^jetstep/tests(/|$)|/generated$|/(queue|redis|state|trace|view)test$|/redis/captured$'

case "${1:-all}" in
all) echo "$all" ;;
race) grep -vE "$process" <<<"$all" ;;
process) grep -E "$process" <<<"$all" || true ;;
product) grep -vE "$machinery" <<<"$all" ;;
*)
	echo "usage: $0 all|race|process|product" >&2
	exit 2
	;;
esac
