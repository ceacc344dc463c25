#!/usr/bin/env bash
# Runs benches/cluster on a development cluster of its own, which writes docs/benchmarks-cluster.md. Needs root on Linux.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $(uname -s) != Linux || $(id -u) -ne 0 ]]; then
    echo 'error: the figures of a cluster need one, which takes root on Linux: sudo make bench-cluster' >&2
    exit 1
fi
said=$(cargo bench --locked --bench cluster --no-run 2>&1) || {
    printf '%s\n' "$said" >&2
    exit 1
}
program=$(sed -n 's/.*Executable.*(\(.*\))$/\1/p' <<<"$said")
dev/with-herald.sh "$(realpath "$program")"
