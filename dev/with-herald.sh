#!/usr/bin/env bash
# Runs a command inside a development cluster of its own, beside the one of `make cluster`, with the chart and its
# simulator installed. Everything is taken down afterwards. Needs root on Linux. HERALD_PROFILE=dev takes the image of a
# debug build.
# Usage: dev/with-herald.sh COMMAND [ARGUMENT...]
set -euo pipefail
cd "$(dirname "$0")/.."

readonly system=herald-system
readonly ready_seconds=180 # for the operator to be ready; 10 s on an idle machine

source dev/test-cluster.sh

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

dev/image.sh
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

dev/cluster/exec env HERALD_TEST_APISERVER="$PWD/dev/cluster/apiserver.sh" \
    HERALD_TEST_AUDIT_LOG="$HERALD_CLUSTER_STATE/log/audit.log" "$@" || {
    explain
    exit 1
}
