# Starts the control plane of the development cluster: etcd, controller manager, scheduler, DNS; the API server has its
# own file. Sourced after processes.sh.
# shellcheck shell=bash disable=SC2154 # names come from place.sh and up.sh

readonly etcd_seconds=60 # until it answers; below 1 s on an idle machine
readonly controllers_seconds=120 # until they run; 2 s on an idle machine

# No fsync: the data need not outlive the machine, since a new start begins with an empty store.
start_etcd() {
    start etcd "$cluster_bin/etcd" --data-dir "$cluster_state/etcd" --unsafe-no-fsync \
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
        --listen-peer-urls http://127.0.0.1:2380
}

wait_for_etcd() { wait_for $etcd_seconds etcd "$cluster_scripts/exec" bash -c ': </dev/tcp/127.0.0.1/2379'; }

start_controller_manager() {
    start controller-manager "$cluster_bin/kube-controller-manager" \
        --kubeconfig="$cluster_state/controller-manager.kubeconfig" --root-ca-file="$cluster_state/pki/ca.crt" \
        --service-account-private-key-file="$cluster_state/pki/sa.key" --use-service-account-credentials \
        --leader-elect=false
}

# The controllers are built before any runs, and while they are built the loss of the API server ends the program. The
# first thing to be seen of running ones is the service account of the default namespace, without which no pod starts.
wait_for_controllers() {
    wait_for $controllers_seconds controller-manager "$cluster_scripts/kubectl" get serviceaccount default
}

start_scheduler() {
    start scheduler "$cluster_bin/kube-scheduler" --kubeconfig="$cluster_state/scheduler.kubeconfig" --leader-elect=false
}

start_dns() {
    cat >"$cluster_state/Corefile" <<EOT
.:53 {
    bind $node_ip
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig $kubeconfig
    }
    cache 5
}
EOT
    start coredns "$cluster_bin/coredns" -conf "$cluster_state/Corefile"
}
