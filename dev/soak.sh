#!/usr/bin/env bash
# The tests of whole runs in large sizes, again and again with new seeds, until one fails or the time is up.
#
#   dev/soak.sh [MINUTES]        30 by default; HERALD_SOAK=N makes sizes 5 N times larger than in `make test`
#
# A failure prints its seed: HERALD_SEED=… HERALD_SOAK=… cargo test --test crash NAME repeats it.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-30}
if ! [[ $minutes =~ ^[0-9]+$ ]]; then
    echo "usage: dev/soak.sh [MINUTES]" >&2
    exit 1
fi
# Of the size of the kill test that takes two minutes a round: 20,000 people at 200 a second, 40 kills.
export HERALD_SOAK=${HERALD_SOAK:-1}

cargo test --locked --no-run --test crash --test provider_faults --test ledger_faults

ends=$((SECONDS + minutes * 60))
rounds=0
while ((SECONDS < ends)); do
    rounds=$((rounds + 1))
    echo "round $rounds, $(((ends - SECONDS) / 60)) minutes left"
    cargo test --locked --test crash --test provider_faults --test ledger_faults -- --nocapture
done
echo "$rounds rounds held"
