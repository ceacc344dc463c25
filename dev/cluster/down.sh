#!/usr/bin/env bash
# Ends the development cluster and removes all of it but the built programs. Sourced, it only gives the functions.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/place.sh"
source "$cluster_scripts/processes.sh"

# The state folder may have been named by hand: only one with this file in it is deleted.
readonly state_marker=$cluster_state/.herald-cluster

# One `up` or `down` at a time for a state folder. The lock is on the folder above, which stays.
lock_state() {
    mkdir -p "$(dirname "$cluster_state")"
    exec 7<"$(dirname "$cluster_state")"
    flock -n 7 || { say 'Another make cluster or cluster-down is running; waiting for it' && flock 7; }
}

# Not under the feet of another cluster of this kind: removing a folder takes away its mount as well.
remove_covered_folders() {
    local folder
    [[ -z $(find /sys/fs/cgroup -maxdepth 2 -name "${cluster_cgroup%"$cluster_netns"}*") ]] || return 0
    for folder in "${covered_folders[@]}"; do
        [[ ! -d $folder ]] || rmdir --ignore-fail-on-non-empty "$folder"
    done
}

tear_down() {
    kill_members
    remove_cgroups
    [[ ! -e /run/netns/$cluster_netns ]] || ip netns delete "$cluster_netns"
    remove_covered_folders
    [[ ! -e $state_marker ]] || rm -rf --one-file-system "$cluster_state"
}

something_is_left() { [[ -e $state_marker || -e /run/netns/$cluster_netns || -n $(cgroup_members) ]]; }

main() {
    local context
    context=$(named_context)
    if [[ -n $context ]]; then
        say "Nothing to stop: the context $context is yours"
        return
    fi
    if ! something_is_left; then
        say 'No development cluster is up'
        return
    fi
    [[ $(id -u) -eq 0 ]] || fail 'the development cluster runs as root: sudo make cluster-down'
    lock_state
    tear_down
    say 'The development cluster is gone; its programs stay in the cache'
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
