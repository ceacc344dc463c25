#!/usr/bin/env bash
# Lints the chart with the helm of the development cluster or the one in PATH. What it renders is looked at by
# tests/chart.rs.
set -euo pipefail
cd "$(dirname "$0")/.."
source dev/cluster/place.sh

helm=$cluster_bin/helm
[[ -x $helm ]] || helm=$(command -v helm) || {
    [[ ${CI:-} != true ]] || fail 'in CI the chart is linted: helm must be there (dev/chart-tools.sh builds one)'
    say 'skipped: helm lint of the chart (dev/chart-tools.sh builds a helm, or install one)'
    exit 0
}

readonly chart=charts/herald
readonly image=image.repository=registry.example/herald
everything=simulator.enabled=true,networkPolicy.enabled=true,serviceMonitor.enabled=true
readonly value_sets=("$image" "$image,$everything" "$image,watch.namespaces={marketing,sales},crds.enabled=false")

for values in "${value_sets[@]}"; do
    "$helm" lint --strict --quiet "$chart" --set "$values"
done
