#!/usr/bin/env bash
# Installs what the tests need and this machine lacks, on Debian (apt-get) and
# macOS (brew): one "need" line for each, and a printed line about what was done.
# Go and git are taken for granted; npm packages are installed by the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

updated=
apt_install() {
	if [ -z "$updated" ]; then
		as_root apt-get update -qq
		updated=yes
	fi
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# need COMMAND "APT PACKAGES" "BREW PACKAGES"
need() {
	if command -v "$1" >/dev/null; then
		echo "have $1: $(command -v "$1")"
		return
	fi
	echo "installing $1"
	# shellcheck disable=SC2086 # the package lists are to be split
	if command -v apt-get >/dev/null; then
		apt_install $2
	elif command -v brew >/dev/null; then
		brew install --quiet $3
	else
		echo "$1 is missing, and neither apt-get nor brew can install it here" >&2
		exit 1
	fi
}

# PostgreSQL for the read model's tests. They start servers of their own, so
# Debian's package is told not to make and start one.
if [ -z "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null)" ]; then
	if command -v apt-get >/dev/null; then
		apt_install postgresql-common
		echo "create_main_cluster = false" | as_root tee /etc/postgresql-common/createcluster.d/no-main.conf >/dev/null
	fi
	need initdb postgresql postgresql@17
else
	echo "have PostgreSQL"
fi
need redis-server redis-server redis # for the Redis path's tests, which start servers of their own
need cc "gcc libc6-dev" gcc # the race detector is cgo
need node nodejs node
need npm npm node

# Debian 12 has Node.js 18, and the newest SDK needs 20.
least=20
if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt "$least" ]; then
	echo "installing node $least in place of $(node --version)"
	as_root npm install --global --no-audit --no-fund --loglevel error "node@$least"
fi
