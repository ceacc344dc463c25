#!/usr/bin/env bash
# Prints what there is of a development cluster on the machine, one thing a line: nothing after `make cluster-down`.
set -euo pipefail
source "$(dirname "$0")/place.sh"
source "$cluster_scripts/processes.sh"

# Processes that name the state folder, whatever control group they are in.
naming_processes() {
    local folder words
    for folder in /proc/[0-9]*; do
        words=$(tr '\0' ' ' 2>/dev/null <"$folder/cmdline") || continue
        [[ $words != *"$cluster_state/"* ]] || say "process ${folder#/proc/}: ${words:0:100}"
    done
}

# In the mount namespaces of all processes: one lives as long as any of them.
mounts() {
    sed -nE "s#^([^ ]+ ){4}(($cluster_state|/run/netns/$cluster_netns)(/[^ ]*)?) .*#mount \2#p" \
        /proc/[0-9]*/mountinfo 2>/dev/null |
        sort -u || true
}

# Empty ones, which only a cluster makes; another one of this kind may need them still.
empty_folders() {
    [[ -z $(find /sys/fs/cgroup -maxdepth 2 -name "${cluster_cgroup%"$cluster_netns"}*") ]] || return 0
    find "${covered_folders[@]}" -maxdepth 0 -empty -printf 'folder %p\n' 2>/dev/null || true
}

[[ ! -e $cluster_state ]] || say "folder $cluster_state"
[[ ! -e /run/netns/$cluster_netns ]] || say "network namespace $cluster_netns"
cgroup_members | sed 's/^/member of its control group: /'
find /sys/fs/cgroup -maxdepth 2 -name "$cluster_cgroup" -printf 'control group %p\n'
naming_processes
mounts
empty_folders
