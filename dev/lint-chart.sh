#!/usr/bin/env bash
# Lints the chart with helm, and what it renders with kubeconform, as far as the two are there. Downloads nothing: the
# schemas of Kubernetes' own kinds come from a folder that HERALD_KUBERNETES_SCHEMAS names, and are skipped without it.
set -euo pipefail
cd "$(dirname "$0")/.."
source dev/cluster/place.sh

found() {
    if [[ -x $cluster_bin/$1 ]]; then
        printf '%s' "$cluster_bin/$1"
    else
        command -v "$1"
    fi
}

if ! helm=$(found helm); then
    say 'skipped: helm lint of the chart (make cluster builds a helm, or install one)'
    exit 0
fi

readonly chart=charts/herald
readonly image=image.repository=registry.example/herald
everything=simulator.enabled=true,networkPolicy.enabled=true,serviceMonitor.enabled=true
readonly value_sets=("$image" "$image,$everything" "$image,watch.namespaces={marketing,sales},crds.enabled=false")

for values in "${value_sets[@]}"; do
    "$helm" lint --strict --quiet "$chart" --set "$values"
done

if ! kubeconform=$(found kubeconform); then
    say 'skipped: kubeconform of what the chart renders (make cluster builds it, or install it)'
    exit 0
fi
schemas=${HERALD_KUBERNETES_SCHEMAS:-}
[[ -n $schemas ]] || schemas=$cluster_cache/schemas
if [[ ! -d $schemas ]]; then
    say "skipped: kubeconform of what the chart renders, for want of schemas (dev/cluster-schemas.sh takes them from a running cluster)"
    exit 0
fi
for values in "${value_sets[@]}"; do
    # A ServiceMonitor and the definitions themselves have no schema in Kubernetes' own API.
    "$helm" template herald "$chart" --namespace herald-system --set "$values" |
        "$kubeconform" -strict -skip ServiceMonitor,CustomResourceDefinition \
            -schema-location "$schemas/{{.ResourceKind}}{{.KindSuffix}}.json"
done
