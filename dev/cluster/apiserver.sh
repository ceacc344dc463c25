#!/usr/bin/env bash
# The API server of the development cluster alone: `stop` ends it, `start` brings it back with all data. Sourced, it
# only gives the functions.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/place.sh"
source "$cluster_scripts/processes.sh"
source "$cluster_scripts/control-plane.sh"

readonly node_ip=10.244.255.1
readonly apiserver_seconds=120 # until it is ready; 3 s on an idle machine

start_apiserver() {
    start apiserver "$cluster_bin/kube-apiserver" \
        --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --advertise-address=$node_ip --allow-privileged=true \
        --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=Node,RBAC \
        --enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement \
        --client-ca-file="$cluster_state/pki/ca.crt" \
        --tls-cert-file="$cluster_state/pki/apiserver.crt" --tls-private-key-file="$cluster_state/pki/apiserver.key" \
        --service-account-issuer=https://kubernetes.default.svc \
        --service-account-key-file="$cluster_state/pki/sa.pub" \
        --service-account-signing-key-file="$cluster_state/pki/sa.key" \
        --kubelet-client-certificate="$cluster_state/pki/apiserver.crt" \
        --kubelet-client-key="$cluster_state/pki/apiserver.key" \
        --kubelet-certificate-authority="$cluster_state/pki/ca.crt" \
        --kubelet-preferred-address-types=InternalIP \
        --audit-policy-file="$cluster_scripts/audit-policy.yaml" --audit-log-path="$cluster_state/log/audit.log" \
        --audit-log-maxsize=100 --audit-log-maxbackup=1
}

wait_for_apiserver() { wait_for $apiserver_seconds apiserver "$cluster_scripts/kubectl" get --raw /readyz; }

# Where several replicas stand by, controller manager and scheduler end when they lose the API server, and begin anew when
# it is back. Left alone here, they would wait up to a minute before they look again.
restart_controllers() {
    stop controller-manager
    stop scheduler
    start_controller_manager
    start_scheduler
    wait_for_controllers
}

main() {
    [[ -z $(named_context) ]] || fail 'the API server of a named context is not mine to stop'
    is_running etcd || fail 'no development cluster is up: run make cluster'
    case ${1:-} in
    stop) stop apiserver ;;
    start)
        is_running apiserver || start_apiserver
        wait_for_apiserver
        restart_controllers
        ;;
    *) fail 'usage: apiserver.sh stop|start' ;;
    esac
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
