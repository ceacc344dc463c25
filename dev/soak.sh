#!/usr/bin/env bash
# Everything that proves the promises, in large sizes, again and again with new seeds, until one fails or the time is up. A
# round that has begun is finished. As root on Linux the kills in a cluster come first, once and beside that time: some twenty
# minutes.
#
#   dev/soak.sh [MINUTES]        30 by default; HERALD_SOAK=N makes whole runs 5 N times larger than in `make test`
#
# A failure prints its seed: HERALD_SEED=… HERALD_SOAK=… cargo test --test faults NAME repeats it, and
# HERALD_SEED=… HERALD_CLUSTER_KILLS=… dev/cluster-tests.sh NAME what was killed in the cluster.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-30}
if ! [[ $minutes =~ ^[0-9]+$ ]]; then
    echo "usage: dev/soak.sh [MINUTES]" >&2
    exit 1
fi
# Of the size of the kill test that takes two minutes a round: 20,000 people at 200 a second, 40 kills.
export HERALD_SOAK=${HERALD_SOAK:-1}
export HERALD_KILLS=${HERALD_KILLS:-1000}
# Of each of two tests.
export HERALD_CLUSTER_KILLS=${HERALD_CLUSTER_KILLS:-100}
export HERALD_FAULT_RUNS=${HERALD_FAULT_RUNS:-200}
export HERALD_CROWD_RECIPIENTS=${HERALD_CROWD_RECIPIENTS:-2000}
export HERALD_AGREEMENT_CASES=${HERALD_AGREEMENT_CASES:-400}
export HERALD_OUTAGE_SECONDS=${HERALD_OUTAGE_SECONDS:-60}

tests=()
for name in faults ledger_faults ledger_agreement; do
    tests+=(--test "$name")
done
cargo test --locked --no-run "${tests[@]}" --test protocol_model --test audience_memory

# Looks at every state there is, so once is enough.
cargo test --locked --test protocol_model -- --include-ignored
# A million people of each kind of source, and how much memory they take.
dev/mariadb-server.sh
dev/with-postgres.sh cargo test --locked --test audience_memory -- --ignored --nocapture --test-threads=1

dev/cluster-tests.sh random_kills

ends=$((SECONDS + minutes * 60))
rounds=0
while ((SECONDS < ends)); do
    rounds=$((rounds + 1))
    echo "round $rounds, $(((ends - SECONDS) / 60)) minutes left"
    dev/with-postgres.sh cargo test --locked "${tests[@]}" -- --nocapture
done
echo "$rounds rounds held"
