#!/usr/bin/env bash
# Runs tests/cluster on a development cluster of their own. Needs root on Linux; skips with a word where that is not so.
#
# Arguments are given to the test program, e.g. a part of a test's name.
set -euo pipefail
cd "$(dirname "$0")/.."
source dev/test-cluster.sh

readonly at_once=4 # tests that run side by side: they mostly wait

if [[ $(uname -s) != Linux || $(id -u) -ne 0 ]]; then
    echo 'skipped: the tests on a real cluster (they start one, which needs root on Linux: sudo make test-cluster)'
    exit 0
fi
if [[ -n ${CLUSTER:-} ]]; then
    echo 'skipped: the tests on a real cluster (they stop its API server, so they never run on a named one)'
    exit 0
fi

# The path of the test program, built. What cargo says goes on to standard error, which must not be opened anew: where it
# is a file, that would empty it.
program() {
    local said
    said=$(cargo test --locked --test cluster --no-run 2>&1) || {
        printf '%s\n' "$said" >&2
        return 1
    }
    sed -n 's/.*Executable.*(\(.*\))$/\1/p' <<<"$said"
}

# Whatever happens, the cluster goes; once it is gone this does nothing.
trap 'dev/cluster/down.sh >/dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

test_program=$(realpath "$(program)")
# A server of these tests' own, in the cluster's network, where nothing could be installed and no other is reached.
unset HERALD_TEST_POSTGRES
dev/with-postgres.sh
export HERALD_TEST_POSTGRES_LISTEN=$HERALD_TEST_NODE_ADDRESS
dev/cluster/check-crash.sh
# What the disruptions do to the operator and the API server would be felt by all others: they come late, one by one, and so
# does the series of kills. Then what the operator has asked for in all of them is looked at; and at last, when it is gone,
# several take its place. The binary is the one that cargo has built together with the tests; built by itself it would be
# another one, with all it depends on.
# shellcheck disable=SC2016 # it is the inner shell that expands
HERALD=${CARGO_TARGET_DIR:-target}/debug/herald dev/with-herald.sh dev/with-postgres.sh bash -c '
    program=$1 at_once=$2 failed=0
    shift 2
    ((!$#)) || exec "$program" --ignored --test-threads=1 "$@"
    "$program" --ignored "--test-threads=$at_once" --skip disruptions --skip afterwards --skip replicas \
        --skip random_kills || failed=1
    "$program" --ignored --test-threads=1 disruptions with_a_file_killed || failed=1
    "$program" --ignored --test-threads=1 afterwards || failed=1
    "$program" --ignored "--test-threads=$at_once" replicas of_one_database_killed || failed=1
    exit $failed' cluster-tests "$test_program" $at_once "$@"

left=$(dev/cluster/remains.sh)
[[ -z $left ]] || {
    printf 'error: the cluster was taken down and left this behind:\n%s\n' "$left" >&2
    exit 1
}
echo 'yes  the cluster was taken down and left nothing behind'
