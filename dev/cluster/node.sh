# Starts the node of the development cluster: containerd, kubelet, kube-proxy. Sourced after processes.sh.
# shellcheck shell=bash disable=SC2154 # names come from place.sh, requirements.sh and up.sh

readonly containerd_seconds=60 # until it answers; below 1 s on an idle machine
readonly node_seconds=180      # until the node is Ready; 5 s on an idle machine

write_containerd_config() {
    mkdir -p "$cluster_state/cni"
    # A link of its own for each pod instead of a bridge: all traffic is then routed, and Services work also where
    # bridged traffic does not pass iptables.
    cat >"$cluster_state/cni/10-pods.conflist" <<EOT
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local",
  "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "$cluster_state/ipam"}}]}
EOT
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE a negative score kills runc with "can't get final child's PID
    # from pipe: EOF". disable_apparmor: its profile would stay behind in the kernel.
    cat >"$cluster_state/containerd.toml" <<EOT
version = 2
root = "$cluster_state/containerd/root"
state = "$cluster_state/containerd/state"
[grpc]
  address = "$containerd_socket"
[plugins."io.containerd.internal.v1.opt"]
  path = "$cluster_state/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:dev"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$(cni_folder)"
    conf_dir = "$cluster_state/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
EOT
}

start_containerd() {
    mkdir -p "${covered_folders[@]}"
    printf 'nameserver %s\n' "$node_ip" >"$cluster_state/resolv.conf"
    write_containerd_config
    start containerd unshare --mount --propagation private \
        "$cluster_scripts/node-mounts.sh" "$cluster_state" containerd -c "$cluster_state/containerd.toml"
}

wait_for_containerd() { wait_for $containerd_seconds containerd ctr -a "$containerd_socket" version; }

write_kubelet_config() {
    local client_ca=$cluster_state/pki/ca.crt
    # failCgroupV1: the kubelet refuses such hosts by default. oomScoreAdj: lowering it needs CAP_SYS_RESOURCE.
    cat >"$cluster_state/kubelet.yaml" <<EOT
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $client_ca}}
authorization: {mode: Webhook}
tlsCertFile: $cluster_state/pki/kubelet.crt
tlsPrivateKeyFile: $cluster_state/pki/kubelet.key
containerRuntimeEndpoint: unix://$containerd_socket
podLogsDir: $cluster_state/pod-logs
volumePluginDir: $cluster_state/volume-plugins
cgroupDriver: cgroupfs
cgroupRoot: /$cluster_cgroup
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
clusterDNS: ["$node_ip"]
clusterDomain: cluster.local
resolvConf: ""
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: "100Mi", nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}
syncFrequency: 10s
EOT
}

start_kubelet() {
    write_kubelet_config
    start kubelet nsenter --mount="/proc/$(pid_of containerd)/ns/mnt" "$cluster_bin/kubelet" \
        --config="$cluster_state/kubelet.yaml" --kubeconfig="$cluster_state/kubelet.kubeconfig" \
        --hostname-override=node --node-ip="$node_ip" --root-dir="$cluster_state/kubelet"
}

# The conntrack settings of the machine may be read-only, and are not the cluster's to change: 0 leaves them.
start_proxy() {
    start proxy "$cluster_bin/kube-proxy" --kubeconfig="$cluster_state/proxy.kubeconfig" --hostname-override=node \
        --proxy-mode=iptables --cluster-cidr=10.244.0.0/16 --conntrack-max-per-core=0 --conntrack-min=0 \
        --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
}

node_is_ready() { "$cluster_scripts/kubectl" get node node --no-headers | grep -q ' Ready '; }

wait_for_node() { wait_for $node_seconds kubelet node_is_ready; }
