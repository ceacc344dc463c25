#!/usr/bin/env bash
# Checks that a cluster some of whose programs were killed is replaced by a whole one at the next start, and that a process
# which happens to have the id of one of them is left alone. Leaves the new cluster up.
set -euo pipefail
source "$(dirname "$0")/place.sh"
source "$cluster_scripts/processes.sh"

kill_program() { kill -KILL "$(pid_of "$1")"; }

stranger=''
trap '[[ -z $stranger ]] || kill "$stranger" 2>/dev/null || true' EXIT

"$cluster_scripts/up.sh" >/dev/null
"$cluster_scripts/kubectl" create namespace before-the-crash >/dev/null
# The others live on, and have to be ended by the new start.
kill_program etcd
kill_program kubelet
sleep 300 &
stranger=$!
printf '%s %s\n' "$stranger" 1 >"$cluster_state/run/etcd"

"$cluster_scripts/up.sh" | grep 'is up after' || fail 'the cluster was not begun anew after a crash'
[[ $("$cluster_scripts/kubectl" get node node --no-headers) == *' Ready '* ]] || fail 'its node is not ready'
! "$cluster_scripts/kubectl" get namespace before-the-crash >/dev/null 2>&1 || fail 'it is the old cluster'
start_time "$stranger" >/dev/null || fail 'a process that has the id of a program by chance was ended'
say 'yes  after a crash the cluster begins anew, and a process of somebody else is left alone'
