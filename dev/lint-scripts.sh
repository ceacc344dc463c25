#!/usr/bin/env bash
# Lints every shell script of the project, where shellcheck is.
set -euo pipefail
cd "$(dirname "$0")/.."
source dev/cluster/place.sh

command -v shellcheck >/dev/null || {
    say 'skipped: the lint of shell scripts (apt-get install shellcheck)'
    exit 0
}
# By their first line, whatever they are called.
mapfile -t scripts < <(grep -rlE '^#!.*\bbash$|^# shellcheck shell=bash' dev .ci)
shellcheck "${scripts[@]}"
