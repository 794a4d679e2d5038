#!/bin/sh
# Installs by apt what the tests run and is not there; without apt, or the right to, tests that need it say so.
set -eu

missing=""
need() { # PACKAGES COMMAND...: the packages, unless every command is there
    packages=$1
    shift
    for command in "$@"; do
        command -v "$command" >/dev/null 2>&1 || [ -x "/usr/sbin/$command" ] || missing="$missing $packages"
    done
}

need curl curl
need openssl openssl
need pgbouncer pgbouncer
need strace strace
need golang-go go
ls -d /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog >/dev/null 2>&1 || missing="$missing golang-golang-x-mod-dev"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need postgresql initdb

if [ -n "$missing" ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    # shellcheck disable=SC2086 # one word for each package
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
fi
