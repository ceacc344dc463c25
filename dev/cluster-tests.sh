#!/usr/bin/env bash
# Runs tests/cluster on a development cluster of their own, beside the one of `make cluster`, with the chart and its
# simulator installed. Needs root on Linux; skips with a word where that is not so. Everything is taken down afterwards.
#
# Arguments are given to the test program, e.g. a part of a test's name.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly system=herald-system
readonly ready_seconds=180 # for the operator to be ready; 10 s on an idle machine
readonly at_once=4         # tests that run side by side: they mostly wait

if [[ $(uname -s) != Linux || $(id -u) -ne 0 ]]; then
    echo 'skipped: the tests on a real cluster (they start one, which needs root on Linux: sudo make test-cluster)'
    exit 0
fi
if [[ -n ${CLUSTER:-} ]]; then
    echo 'skipped: the tests on a real cluster (they stop its API server, so they never run on a named one)'
    exit 0
fi

export HERALD_CLUSTER_STATE=${HERALD_CLUSTER_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/herald/test}
export HERALD_CLUSTER_NETNS=${HERALD_CLUSTER_NETNS:-herald-test}

started=''
stop_everything() {
    local code=$?
    trap - EXIT
    [[ -z $started ]] || dev/cluster/down.sh || true
    exit $code
}
trap stop_everything EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

explain() {
    dev/cluster/kubectl get pods --all-namespaces -o wide || true
    dev/cluster/kubectl -n $system describe deployment,pods || true
    dev/cluster/kubectl -n $system logs deployment/herald --tail=100 || true
}

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

test_program=$(realpath "$(program)")
HERALD_PROFILE=dev dev/image.sh
started=yes
dev/cluster/up.sh
dev/cluster/load.sh "${CARGO_TARGET_DIR:-target}/image/herald.tar"
dev/cluster/kubectl create namespace $system
dev/cluster/kubectl label namespace $system pod-security.kubernetes.io/enforce=restricted
dev/cluster/helm install herald charts/herald --namespace $system \
    --set image.repository=localhost/herald,image.tag=dev,simulator.enabled=true >/dev/null
dev/cluster/kubectl -n $system wait --for=condition=Available --timeout=${ready_seconds}s \
    deployment/herald deployment/herald-simulator || {
    explain
    exit 1
}

run() {
    dev/cluster/exec env HERALD_TEST_NODE_ADDRESS=10.244.255.1 HERALD_TEST_APISERVER="$PWD/dev/cluster/apiserver.sh" \
        "$test_program" --ignored "$@"
}
failed=''
run --test-threads=$at_once --skip disruptions "$@" || failed=yes
# What these do to the operator and the API server would be felt by all others.
run --test-threads=1 disruptions "$@" || failed=yes
[[ -z $failed ]] || {
    explain
    exit 1
}
