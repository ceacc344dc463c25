#!/usr/bin/env bash
# Has helm and kubeconform ready for the lint and the tests of the chart: those that are there already, else built as for
# the development cluster, which takes Go and about two minutes, once, and no root. Without Go it says what is left out;
# in CI (CI=true) that is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
source dev/cluster/place.sh

missing=()
for program in helm kubeconform; do
    [[ -x $cluster_bin/$program ]] || command -v "$program" >/dev/null || missing+=("$program")
done
((${#missing[@]})) || exit 0
dev/cluster/build.sh "${missing[@]}" || {
    [[ ${CI:-} != true ]] || fail "in CI the chart is looked at: ${missing[*]} must be there"
    say "skipped: what the chart renders is not looked at without ${missing[*]}" >&2
}
