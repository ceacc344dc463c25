#!/usr/bin/env bash
# Messages the people of examples/people.csv through the simulator, kills the sender half way, goes on, and compares
# what Herald says with what the simulator counted. Everything lies in a temporary folder and is gone afterwards.
#
# HERALD names a binary to use instead of building one.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly people=2488       # distinct ids of examples/people.csv
readonly rate=60           # messages a second in examples/quickstart.yaml
readonly start_seconds=15  # for the simulator to listen
readonly half_seconds=120  # for half of the people to be reached; a busy machine takes longer than the 21 s at 60/s
readonly rerun_seconds=240 # for the second run to end

simulator='' sender='' folder=''

stop_everything() {
    local pid
    for pid in "$sender" "$simulator"; do
        [[ -z $pid ]] || kill -KILL "$pid" 2>/dev/null || true
        [[ -z $pid ]] || wait "$pid" 2>/dev/null || true
    done
    [[ -z $folder ]] || rm -rf "$folder"
}
trap stop_everything EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
    printf '\ndemo failed: %s\n' "$*" >&2
    exit 1
}

bold='' plain=''
[[ ! -t 1 ]] || bold=$'\e[1m' plain=$'\e[0m'
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

is_running() { kill -0 "$1" 2>/dev/null; }

# The simulator's counts, one line of JSON. Plain shell, so that no curl is needed.
summary() {
    local line
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf 'GET /_simulator/summary HTTP/1.1\r\nHost: simulator\r\nConnection: close\r\n\r\n' >&3
    while IFS= read -r line; do [[ $line != $'\r' ]] || break; done <&3
    cat <&3
    exec 3>&-
}

# number NAME JSON: a whole number out of one line of JSON.
number() {
    local found
    found=$(sed -n "s/.*\"$1\":\([0-9][0-9]*\).*/\1/p" <<<"$2")
    [[ -n $found ]] || fail "no number \"$1\" in: $2"
    printf '%s' "$found"
}

run() {
    sed "s|http://127.0.0.1:8091|http://127.0.0.1:$port|" examples/quickstart.yaml >"$folder/broadcast.yaml"
    exec "$herald" run -f "$folder/broadcast.yaml" --config-map people=examples/people.csv \
        --ledger "sqlite:$folder/ledger.sqlite" "$@" </dev/null
}

herald=${HERALD:-}
if [[ -z $herald ]]; then
    say 'Building herald (a few minutes the first time)'
    cargo build --release --locked
    herald=${CARGO_TARGET_DIR:-target}/release/herald
fi
[[ -x $herald ]] || fail "$herald is not there"

folder=$(mktemp -d)
touch "$folder/simulator"
say 'Starting the simulator: it plays the Messenger API and answers within 80 to 200 ms'
"$herald" simulator --listen 127.0.0.1:0 --latency 80-200 --record "$folder/record" >"$folder/simulator" &
simulator=$!
deadline=$((SECONDS + start_seconds))
until port=$(sed -n 's|^simulator listening on http://.*:\([0-9]*\)$|\1|p' "$folder/simulator") && [[ -n $port ]]; do
    is_running "$simulator" || fail 'the simulator ended at once'
    ((SECONDS < deadline)) || fail "the simulator did not listen within $start_seconds s"
    sleep 0.1
done
cat "$folder/simulator"

say "First run: $people people at $rate messages a second, killed half way"
run >/dev/null &
sender=$!
deadline=$((SECONDS + half_seconds))
until count=$(number requests "$(summary)" 2>/dev/null) && ((count >= people / 2)); do
    is_running "$simulator" || fail 'the simulator ended'
    is_running "$sender" || fail 'the first run ended before half of the people were reached'
    ((SECONDS < deadline)) || fail "half of the people were not reached within $half_seconds s"
    sleep 0.1
done
# Disowned, so that the shell does not report the kill as a mishap.
disown "$sender"
kill -KILL "$sender"
while is_running "$sender"; do sleep 0.05; done
sender=''
at_kill=$(summary)
say "Killed with SIGKILL after $(number requests "$at_kill") requests. Second run: the same command again"

run -o json >"$folder/status" &
sender=$!
deadline=$((SECONDS + rerun_seconds))
while is_running "$sender"; do
    ((SECONDS < deadline)) || fail "the second run did not end within $rerun_seconds s"
    sleep 0.1
done
code=0
wait "$sender" || code=$?
sender=''
status=$(<"$folder/status")
counted=$(summary)
((code == 0 || code == 2)) || fail "the second run ended with exit code $code"

# The only part of the status that is needed: the sums.
sums=$(sed -n 's/.*"recipients":{\([^}]*\)}.*/\1/p' <<<"$status")
planned=$(number planned "$sums") sent=$(number sent "$sums") failed=$(number failed "$sums")
skipped=$(number skipped "$sums") unknown=$(number unknown "$sums") pending=$(number pending "$sums")
requests=$(number requests "$counted") accepted=$(number accepted "$counted")
reached=$(number recipients_accepted "$counted") twice=$(number accepted_twice "$counted")
worst=$(number worst_second "$counted")
# An independent count: recipients that stand in the record more than once as accepted.
recorded_twice=$(sed -n 's/.*"recipient":"\([^"]*\)".*"accepted":true.*/\1/p' "$folder/record" | sort | uniq -d | wc -l)
# Requests per second of sending: the pause between the runs is left out.
pace=$(sed -n 's/^{"time_ns":\([0-9]*\),.*/\1/p' "$folder/record" | sort -n |
    awk 'NR > 1 && $1 - last < 0.5e9 { n++; sum += $1 - last } { last = $1 } END { printf "%.1f", sum ? n * 1e9 / sum : 0 }')

say 'What Herald says         What the simulator counted'
row() { printf '  %-12s %6s      %-18s %6s\n' "$@"; }
row planned "$planned" 'requests' "$requests"
row sent "$sent" 'messages taken' "$accepted"
row unknown "$unknown" 'people reached' "$reached"
row failed "$failed" 'reached twice' "$twice"
row skipped "$skipped" 'a second, average' "$pace"
row pending "$pending" 'in worst second' "$worst"
printf '\n'

faults=0
check() {
    local verdict='yes'
    if ! (($2)); then
        verdict='NO ' faults=$((faults + 1))
    fi
    printf '  %s  %s\n' "$verdict" "$1"
}
check "nobody was messaged twice ($twice by the simulator's count, $recorded_twice by its record)" \
    'twice == 0 && recorded_twice == 0'
check "everybody is accounted for: $sent sent + $unknown unknown = $planned planned" \
    'planned == people && sent + unknown == planned && failed + skipped + pending == 0'
check "each of the $sent sent was taken once, and of the $unknown unknown $((reached - sent)) as well" \
    'accepted == reached && sent <= reached && reached <= sent + unknown'
if ((unknown > 0)); then
    printf '\n  %s\n' "Unknown are the requests that were on the wire when the sender was killed. Whether they" \
        "arrived only the provider knows, so Herald shows them and does not send them again." | sed '/^$/{1!d}'
fi
((faults == 0)) || fail 'the balance does not sum up'
say 'The balance sums up.'
