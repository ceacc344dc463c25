# Starts, finds and ends the processes of the development cluster. Sourced after place.sh.
# shellcheck shell=bash disable=SC2154 # cluster_state and cluster_netns come from place.sh

# Every process, also those of pods, lives below this control group: whatever happened to the files with the process
# ids, its members are the cluster's processes and nobody else's.
cluster_cgroup=herald-cluster-$cluster_netns

# The node covers these with mounts that only it sees (node-mounts.sh), so on the machine they stay empty.
# shellcheck disable=SC2034 # for node.sh and down.sh
covered_folders=(/var/lib/kubelet /var/lib/cni)

# A process id alone may belong to somebody else after a crash; with the time of its start it cannot. Fails for one that
# has ended, also while nobody has asked for its exit code yet.
start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The second field is the name in brackets and may hold spaces; the 22nd is the 20th behind it.
    read -ra stat <<<"${stat##*) }"
    [[ ${stat[0]} != [ZX] ]] || return 1
    printf '%s' "${stat[19]}"
}

pid_of() {
    local pid started
    read -r pid started 2>/dev/null <"$cluster_state/run/$1" || return 1
    [[ $(start_time "$pid") == "$started" ]] || return 1
    printf '%s' "$pid"
}

is_running() { pid_of "$1" >/dev/null; }

# One folder for each hierarchy: several with cgroup v1, one with v2.
cgroup_hierarchies() {
    if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
        printf '%s\n' /sys/fs/cgroup
    else
        find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d
    fi
}

# The hierarchy the daemons are put into. With v1 any does, and `pids` has nothing to set up first.
daemons_cgroup() {
    local top=/sys/fs/cgroup
    [[ -e $top/cgroup.controllers ]] || top=$top/pids
    printf '%s' "$top/$cluster_cgroup/daemons"
}

make_cgroups() {
    local top controllers
    while read -r top; do
        mkdir -p "$top/$cluster_cgroup"
        [[ -e $top/cgroup.controllers ]] || continue
        # With v2 the kubelet wants the controllers handed down to its root.
        controllers=$(sed 's/[a-z_]\{1,\}/+&/g' "$top/cgroup.controllers")
        printf '%s' "$controllers" >"$top/cgroup.subtree_control"
    done < <(cgroup_hierarchies)
    mkdir -p "$(daemons_cgroup)"
}

cgroup_members() {
    local top
    while read -r top; do
        [[ ! -d $top/$cluster_cgroup ]] || find "$top/$cluster_cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null || true
    done < <(cgroup_hierarchies) | sort -un
}

remove_cgroups() {
    local top
    while read -r top; do
        [[ ! -d $top/$cluster_cgroup ]] || find "$top/$cluster_cgroup" -depth -type d -exec rmdir {} +
    done < <(cgroup_hierarchies)
}

# Ends every process of the cluster at once: nothing of it is wanted any more.
kill_members() {
    local members try
    for try in {1..100}; do
        members=$(cgroup_members)
        [[ -n $members ]] || return 0
        ((try % 10 != 1)) || xargs kill -KILL <<<"$members" 2>/dev/null || true
        sleep 0.1
    done
    fail "these processes of the cluster do not end: ${members//$'\n'/ }"
}

# start NAME COMMAND...: runs it in the cluster's network and control group, with nothing of the caller's environment
# (a proxy for instance) and no terminal; its output goes to log/NAME.log.
start() {
    local name=$1 pid
    shift
    (
        echo "$BASHPID" >"$(daemons_cgroup)/cgroup.procs"
        exec setsid nsenter --net="/run/netns/$cluster_netns" \
            env -i PATH="$PATH" HOME=/root "$@" >>"$cluster_state/log/$name.log" 2>&1 </dev/null 7<&-
    ) &
    pid=$!
    printf '%s %s\n' "$pid" "$(start_time "$pid")" >"$cluster_state/run/$name"
}

# stop NAME: asks it to end, and ends it when it does not within seconds.
stop() {
    local pid signal try
    for signal in TERM KILL; do
        pid=$(pid_of "$1") || return 0
        kill "-$signal" "$pid" 2>/dev/null || true
        for try in {1..50}; do
            is_running "$1" || return 0
            sleep 0.1
        done
    done
    fail "$1 (process $pid) does not end"
}

# wait_for SECONDS NAME COMMAND...: until the command succeeds; gives up at once when process NAME is gone.
wait_for() {
    local deadline=$((SECONDS + $1)) name=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! is_running "$name" || ((SECONDS >= deadline)); then
            tail -n 15 "$cluster_state/log/$name.log" >&2
            fail "$name is not ready; all it said is in $cluster_state/log/$name.log"
        fi
        sleep 0.2
    done
}
