#!/usr/bin/env bash
# Messages the people of examples/channel.yaml from a Kubernetes cluster through the simulator, deletes a sender pod half
# way, and compares what Herald says with what the simulator counted. What it makes in the cluster is gone afterwards; the
# development cluster stays up for the next time.
#
# CLUSTER=context:NAME takes a cluster of yours instead of the development cluster. It must be one without Herald.
# IMAGE=NAME:TAG names an image the cluster can pull; needed for a cluster that is not kind.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly people=2488        # distinct ids of examples/people.csv
readonly system=herald-system
readonly space=herald-demo
readonly broadcast=broadcastmessage/spring-sale
readonly call_seconds=30    # for one call to the API server; milliseconds on an idle machine
readonly ready_seconds=180  # for the operator and the simulator to be ready; 10 s on an idle machine
readonly half_seconds=180   # for half of the people to be reached; 13 s at 100/s
readonly finish_seconds=300 # for the rest; 13 s, and the start of a new pod
readonly delete_seconds=120 # for a namespace to be gone
readonly line_seconds=2     # between two lines of progress

kubectl() { timeout -k 5 "${patience:-$call_seconds}" dev/cluster/kubectl "$@"; }
in_demo() { kubectl --namespace $space "$@"; }
helm() { timeout -k 5 $((ready_seconds + call_seconds)) dev/cluster/helm "$@"; }

bold='' plain=''
[[ ! -t 1 ]] || bold=$'\e[1m' plain=$'\e[0m'
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { printf '$ kubectl %s\n' "$*"; }

waiter='' made=''

# Everything that may say why, as far as it can be had.
explain() {
    {
        printf '\n--- the broadcast\n' && in_demo get $broadcast -o yaml
        printf '\n--- pods\n' && kubectl get pods --all-namespaces -o wide
        printf '\n--- events of %s\n' $space && in_demo get events --sort-by=.lastTimestamp
        printf '\n--- events of %s\n' $system && kubectl --namespace $system get events --sort-by=.lastTimestamp
        printf '\n--- the operator\n' && kubectl --namespace $system logs --tail=40 deployment/herald
        printf '\n--- senders\n' && in_demo logs --tail=20 --prefix --selector app.kubernetes.io/name=herald-sender
    } 2>&1 | sed 's/^/  /' >&2 || true
}

fail() {
    printf '\ndemo failed: %s\n' "$*" >&2
    [[ -z $made ]] || explain
    exit 1
}

is_ours() { [[ $(kubectl get namespace "$1" --ignore-not-found -o 'jsonpath={.metadata.labels.herald\.dev/demo}') == true ]]; }

remove() {
    local namespace
    kubectl delete --ignore-not-found --wait=false namespace $space >/dev/null || true
    if is_ours $system; then helm uninstall herald --namespace $system --ignore-not-found >/dev/null || true; fi
    for namespace in $space $system; do
        patience=$((delete_seconds + call_seconds)) kubectl delete --ignore-not-found --timeout=${delete_seconds}s \
            namespace "$namespace" >/dev/null || true
    done
    kubectl delete --ignore-not-found -f crds/ >/dev/null || true
}

stop_everything() {
    local code=$?
    trap - EXIT
    [[ -z $waiter ]] || kill "$waiter" 2>/dev/null || true
    if [[ -n $made ]]; then
        say 'Taking down what the demo has made in the cluster'
        remove
        [[ -n ${CLUSTER:-} ]] || printf 'The cluster stays up for the next time. To end it: make cluster-down\n'
    fi
    exit $code
}
trap stop_everything EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# A second operator has a ledger of its own and would message people again: never beside one that is there.
check_nobody_else() {
    local namespace kind
    for namespace in $space $system; do
        [[ -z $(kubectl get namespace "$namespace" --ignore-not-found -o name) ]] || is_ours "$namespace" ||
            fail "the namespace $namespace is there already, and the demo would delete it: use another cluster"
    done
    # What an interrupted demo has left.
    if is_ours $space || is_ours $system; then remove; fi
    [[ -z $(kubectl get deployments --all-namespaces --selector app.kubernetes.io/part-of=herald -o name) ]] ||
        fail 'an operator runs in this cluster already, and two do not go together: use another cluster'
    for kind in broadcastmessages messagechannels messagebatches; do
        [[ -n $(kubectl get crd $kind.herald.dev --ignore-not-found -o name) ]] || continue
        [[ -z $(kubectl get $kind.herald.dev --all-namespaces -o name) ]] ||
            fail "there are $kind in this cluster, and the demo would delete them: use another cluster"
    done
    # Definitions without any object: the chart brings its own.
    kubectl delete --ignore-not-found -f crds/ >/dev/null
}

# Fills image_values, what the chart is to know about the image.
bring_image() {
    if [[ -n ${IMAGE:-} ]]; then
        [[ ${IMAGE##*/} == *:* ]] || fail "IMAGE=$IMAGE has no tag: give NAME:TAG"
        image_values="image.repository=${IMAGE%:*},image.tag=${IMAGE##*:}"
        return
    fi
    dev/image.sh
    dev/cluster/load.sh "${CARGO_TARGET_DIR:-target}/image/herald.tar"
    image_values=image.repository=localhost/herald,image.tag=dev
}

make_namespace() {
    kubectl create namespace "$1" >/dev/null
    kubectl label namespace "$1" herald.dev/demo=true pod-security.kubernetes.io/enforce=restricted >/dev/null
}

install() {
    made=yes
    make_namespace $system
    make_namespace $space
    helm install herald charts/herald --namespace $system --set simulator.enabled=true --set "$image_values" >/dev/null
    patience=$((ready_seconds + call_seconds)) kubectl --namespace $system wait --for=condition=Available \
        --timeout=${ready_seconds}s deployment/herald deployment/herald-simulator >/dev/null ||
        fail "Herald was not ready within $ready_seconds s"
}

# The simulator's counts, one line of JSON.
summary() {
    kubectl get --raw "/api/v1/namespaces/$system/services/herald-simulator:8091/proxy/_simulator/summary"
}

# number NAME JSON: a whole number out of one line of JSON; 0 where it is not there.
number() {
    local found
    found=$(sed -n "s/.*\"$1\":\([0-9][0-9]*\).*/\1/p" <<<"$2")
    printf '%s' "${found:-0}"
}

readonly progress='{.status.state}|{.status.recipients.sent}|{.status.recipients.failed}|{.status.recipients.unknown}|{.status.recipients.planned}|{.status.ratePerMinute}'

# The columns of `kubectl get`, one line a time, in line.
print_progress() {
    local state sent failed unknown planned rate
    IFS='|' read -r state sent failed unknown planned rate < <(in_demo get $broadcast -o "jsonpath=$progress") || true
    printf '  %-10s %6s sent  %3s failed  %3s unknown  of %6s   %6s a minute\n' \
        "${state:-Pending}" "${sent:-0}" "${failed:-0}" "${unknown:-0}" "${planned:-?}" "${rate:-?}"
}

wait_for_half() {
    local deadline=$((SECONDS + half_seconds)) line_at=$SECONDS requests state
    until requests=$(number requests "$(summary)") && ((requests >= people / 2)); do
        state=$(in_demo get $broadcast -o 'jsonpath={.status.state}')
        [[ $state != Complete ]] || fail 'the broadcast ended before a pod could be deleted half way'
        ((SECONDS < deadline)) || fail "half of the people were not reached within $half_seconds s"
        if ((SECONDS >= line_at)); then
            print_progress
            line_at=$((SECONDS + line_seconds))
        fi
        sleep 0.5
    done
}

delete_sender() {
    local pod
    pod=$(in_demo get pods --selector app.kubernetes.io/name=herald-sender --field-selector status.phase=Running -o name | head -n 1)
    [[ -n $pod ]] || fail 'no sender pod is running'
    show "delete $pod"
    in_demo delete "$pod" --wait=false
}

wait_for_end() {
    show "wait --for=condition=Finished $broadcast"
    timeout -k 5 $((finish_seconds + call_seconds)) dev/cluster/kubectl --namespace $space \
        wait --for=condition=Finished --timeout=${finish_seconds}s $broadcast &
    waiter=$!
    while kill -0 "$waiter" 2>/dev/null; do
        print_progress
        sleep $line_seconds
    done
    wait "$waiter" || { waiter='' && fail "the broadcast did not end within $finish_seconds s"; }
    waiter=''
}

compare() {
    local sums counted planned sent failed skipped unknown pending requests accepted reached twice worst pace
    sums=$(in_demo get $broadcast -o 'jsonpath={.status.recipients}')
    counted=$(summary)
    planned=$(number planned "$sums") sent=$(number sent "$sums") failed=$(number failed "$sums")
    skipped=$(number skipped "$sums") unknown=$(number unknown "$sums") pending=$(number pending "$sums")
    requests=$(number requests "$counted") accepted=$(number accepted "$counted")
    reached=$(number recipients_accepted "$counted") twice=$(number accepted_twice "$counted")
    worst=$(number worst_second "$counted")
    pace=$(awk -v n="$requests" -v first="$(number first_time_ns "$counted")" -v last="$(number last_time_ns "$counted")" \
        'BEGIN { printf "%.1f", (last > first) ? (n - 1) * 1e9 / (last - first) : 0 }')

    say 'What Herald says         What the simulator counted'
    row planned "$planned" 'requests' "$requests"
    row sent "$sent" 'messages taken' "$accepted"
    row unknown "$unknown" 'people reached' "$reached"
    row failed "$failed" 'reached twice' "$twice"
    row skipped "$skipped" 'a second, average' "$pace"
    row pending "$pending" 'in worst second' "$worst"
    printf '\n'
    check "nobody was messaged twice ($twice by the simulator's count)" "$((twice == 0))"
    check "everybody is accounted for: $sent sent + $unknown unknown = $planned planned" \
        "$((planned == people && sent + unknown == planned && failed + skipped + pending == 0))"
    check "each of the $sent sent was taken once, and of the $unknown unknown $((reached - sent)) as well" \
        "$((accepted == reached && sent <= reached && reached <= sent + unknown))"
    if ((unknown > 0)); then
        printf '\n  %s\n' "Unknown are the requests whose answers were lost with the pod. Whether they arrived only the" \
            "provider knows, so Herald shows them and does not send them again." | sed '/^$/{1!d}'
    fi
}

row() { printf '  %-12s %6s      %-18s %6s\n' "$@"; }

faults=0
check() {
    local verdict='yes'
    (($2)) || verdict='NO ' faults=$((faults + 1))
    printf '  %s  %s\n' "$verdict" "$1"
}

dev/cluster/up.sh
check_nobody_else
say 'Bringing the image into the cluster'
bring_image
say 'Installing the chart, with the simulator: it plays the Messenger API and answers within 80 to 200 ms'
install

say "$people people at 100 messages a second"
show 'apply -f examples/channel.yaml'
in_demo apply -f examples/channel.yaml
show 'apply -f examples/broadcast.yaml'
in_demo apply -f examples/broadcast.yaml
wait_for_half
say 'Half way: its batches, and then its sender pod is deleted'
show 'get messagebatches'
in_demo get messagebatches
delete_sender
wait_for_end
compare
((faults == 0)) || fail 'the balance does not sum up'
say 'The balance sums up.'
