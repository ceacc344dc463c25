#!/usr/bin/env bash
# Brings an image archive into the cluster: the development cluster, or a kind cluster named by CLUSTER=context:kind-NAME.
# Usage: load.sh FILE.tar
set -euo pipefail
source "$(dirname "$0")/place.sh"

archive=${1:-}
[[ -f $archive ]] || fail 'usage: load.sh FILE.tar (make image writes target/image/herald.tar)'
context=$(named_context)
case $context in
'')
    [[ $(id -u) -eq 0 ]] || fail 'the development cluster is entered as root; or name a cluster with CLUSTER=context:NAME'
    [[ -S $containerd_socket ]] || fail 'no development cluster is up: run make cluster'
    ctr -a "$containerd_socket" -n k8s.io images import "$archive" >/dev/null
    ;;
kind-*)
    command -v kind >/dev/null || fail "kind was not found, and the context $context needs it to load an image"
    kind load image-archive "$archive" --name "${context#kind-}"
    ;;
*) fail "no image can be loaded into the context $context: push it to a registry and name it with IMAGE=" ;;
esac
