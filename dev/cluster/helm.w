#!/usr/bin/env bash
# helm on the development cluster, or on the context named by CLUSTER=context:NAME.
set -euo pipefail
source "$(dirname "$(realpath "$0")")/place.sh"
program=$(tool helm)
context=$(named_context)
[[ -z $context ]] || exec "$program" --kube-context "$context" "$@"
in_cluster "$program" "$@"
