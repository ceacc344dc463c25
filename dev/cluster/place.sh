# Where the development cluster lives. Sourced by the scripts beside it.
# shellcheck shell=bash disable=SC2034 # the names are read by whoever sources this

cluster_scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# One folder per set of pins: a change of a pin builds anew, and a second clone with the same pins finds all built.
pins=$(cd "$cluster_scripts" && cat programs modules/*/go.mod modules/*/go.sum modules/*/*.go | sha256sum | cut -c1-16)
cluster_cache=${XDG_CACHE_HOME:-$HOME/.cache}/herald/cluster/$pins
cluster_bin=$cluster_cache/bin

# Both are given to stand a second cluster beside the first.
cluster_state=$(realpath -m "${HERALD_CLUSTER_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/herald/cluster}")
cluster_netns=${HERALD_CLUSTER_NETNS:-herald}

kubeconfig=$cluster_state/admin.kubeconfig
containerd_socket=$cluster_state/containerd.sock

say() { printf '%s\n' "$@"; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# The kubeconfig context named by CLUSTER=context:NAME; empty for the project's own cluster.
named_context() {
    case ${CLUSTER:-} in
    '') ;;
    context:?*) printf '%s' "${CLUSTER#context:}" ;;
    *) fail "CLUSTER=$CLUSTER is not understood: give CLUSTER=context:NAME, or leave it out for the project's own cluster" ;;
    esac
}

# in_cluster COMMAND...: becomes the command, inside the cluster's network and with its kubeconfig.
in_cluster() {
    [[ $(id -u) -eq 0 ]] || fail "the development cluster is entered as root; or name a cluster with CLUSTER=context:NAME"
    [[ -e /run/netns/$cluster_netns && -e $kubeconfig ]] || fail "no development cluster is up: run make cluster"
    exec nsenter --net="/run/netns/$cluster_netns" env KUBECONFIG="$kubeconfig" PATH="$PATH:$cluster_bin" "$@"
}

# tool PROGRAM: for a named context the user's own program, else the one built here.
tool() {
    if [[ -n $(named_context) ]] && command -v "$1"; then return; fi
    [[ -x $cluster_bin/$1 ]] || fail "$1 is not built yet: run make cluster"
    printf '%s' "$cluster_bin/$1"
}
