#!/usr/bin/env bash
# Starts a real Kubernetes of one node (etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet,
# kube-proxy, CoreDNS, containerd) inside a network namespace of its own: nothing of it reaches, or is reached from,
# outside. With CLUSTER=context:NAME it only checks that the named cluster answers.
set -euo pipefail
source "$(dirname "$0")/place.sh"
source "$cluster_scripts/processes.sh"
source "$cluster_scripts/requirements.sh"
source "$cluster_scripts/apiserver.sh"
source "$cluster_scripts/certificates.sh"
source "$cluster_scripts/node.sh"
source "$cluster_scripts/volumes.sh"
source "$cluster_scripts/down.sh"
# sbin is not in everybody's PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

readonly daemons=(etcd containerd apiserver controller-manager scheduler coredns kubelet proxy)
readonly answer_seconds=60 # of patience with a cluster that is up, on a machine busy with compilers
readonly longest_state=80 # characters: the path of a socket in it may have 107

# The user's own programs serve as well: Go is asked for only where there are none.
use_context() {
    local program missing=()
    for program in kubectl helm; do command -v "$program" >/dev/null || missing+=("$program"); done
    ((${#missing[@]} == 0)) || "$cluster_scripts/build.sh" "${missing[@]}"
    "$cluster_scripts/kubectl" --request-timeout=10s get --raw /readyz >/dev/null ||
        fail "the cluster of context $1 does not answer; its kubeconfig is ${KUBECONFIG:-$HOME/.kube/config}"
    say "Using the cluster of context $1"
}

check_place() {
    ((${#cluster_state} <= longest_state)) ||
        fail "the state folder $cluster_state has too long a name: set HERALD_CLUSTER_STATE to a shorter one"
    case $cluster_state/ in
    /run/* | /var/run/* | /var/log/*) fail "HERALD_CLUSTER_STATE must not lie in /run or /var/log, which the node covers" ;;
    esac
    if [[ -d $cluster_state && ! -e $state_marker && -n $(ls -A "$cluster_state") ]]; then
        fail "$cluster_state holds something else than a cluster: set HERALD_CLUSTER_STATE to a folder that may be deleted"
    fi
}

# nsenter, not `ip netns exec`: the latter mounts /sys anew, and the kubelet then finds no control groups.
inside() { nsenter --net="/run/netns/$cluster_netns" "$@"; }

make_network() {
    ip netns add "$cluster_netns"
    inside ip link set lo up
    # The address of the node sits on a bridge without members: a `dummy` device is not in every kernel.
    inside ip link add node0 type bridge
    inside ip address add "$node_ip/32" dev node0
    inside ip link set node0 up
    # The kubelet and the API server want a default route.
    inside ip route add default dev node0
    inside sysctl -qw net.ipv4.ip_forward=1
}

start_cluster() {
    mkdir -p "$cluster_state"/{run,log}
    : >"$state_marker"
    make_cgroups
    make_network
    start_etcd
    start_containerd
    make_certificates
    wait_for_etcd
    start_apiserver
    wait_for_containerd
    "$cluster_scripts/busybox-image.sh" "$(static_busybox)" "$cluster_state/busybox.tar"
    ctr -a "$containerd_socket" -n k8s.io images import "$cluster_state/busybox.tar" >/dev/null
    wait_for_apiserver
    start_controller_manager
    start_scheduler
    start_dns
    start_kubelet
    start_proxy
    make_all_volumes
    wait_for_node
    wait_for_controllers
    : >"$cluster_state/complete"
}

answers() { "$cluster_scripts/kubectl" --request-timeout=${answer_seconds}s get --raw /readyz >/dev/null 2>&1; }

# Prints what a whole cluster lacks.
lacking() {
    local name
    [[ -e $cluster_state/complete ]] || printf 'start '
    for name in "${daemons[@]}"; do is_running "$name" || printf '%s ' "$name"; done
    ! is_running apiserver || answers || printf 'answer'
}

describe() {
    say "  kubectl    $cluster_scripts/kubectl get nodes" \
        "  helm       $cluster_scripts/helm list" \
        "  any other  $cluster_scripts/exec COMMAND    (in the cluster's network, with KUBECONFIG)" \
        "  stop it    make cluster-down"
}

main() {
    local context started=$SECONDS
    context=$(named_context)
    if [[ -n $context ]]; then
        use_context "$context"
        return
    fi
    [[ $(id -u) -eq 0 ]] || fail "a cluster of its own needs root. Either run it as root (sudo make cluster)," \
        "or name one that you have: make cluster CLUSTER=context:NAME (kubectl config get-contexts lists them)"
    check_place
    lock_state
    case $(lacking) in
    '')
        renew_released_volumes
        say 'The development cluster is up already'
        ;;
    'apiserver ')
        "$cluster_scripts/apiserver.sh" start
        renew_released_volumes
        say 'The API server of the development cluster was stopped, and runs again'
        ;;
    *)
        install_requirements
        "$cluster_scripts/build.sh"
        started=$SECONDS
        tear_down
        start_cluster
        say "The development cluster is up after $((SECONDS - started)) s"
        ;;
    esac
    describe
}

main
