# Makes the certificates and kubeconfigs of the development cluster. Sourced after place.sh.
# shellcheck shell=bash disable=SC2154 # cluster_state and node_ip are given

readonly certificate_days=365

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

# certificate NAME SUBJECT EXTENSIONS
certificate() {
    new_key "$1.key"
    openssl req -new -key "$1.key" -subj "$2" -out "$1.csr" 2>/dev/null
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days $certificate_days -out "$1.crt" \
        -extfile <(printf '%s\n' "${@:3}") 2>/dev/null
}

# kubeconfig_of USER: with absolute paths, so that it works from any folder.
kubeconfig_of() {
    cat >"$cluster_state/$1.kubeconfig" <<EOT
apiVersion: v1
kind: Config
clusters: [{name: dev, cluster: {server: "https://127.0.0.1:6443", certificate-authority: $cluster_state/pki/ca.crt}}]
users: [{name: $1, user: {client-certificate: $cluster_state/pki/$1.crt, client-key: $cluster_state/pki/$1.key}}]
contexts: [{name: dev, context: {cluster: dev, user: $1}}]
current-context: dev
EOT
}

make_certificates() (
    umask 077
    mkdir -p "$cluster_state/pki"
    cd "$cluster_state/pki" || exit
    new_key ca.key
    openssl req -x509 -key ca.key -days $certificate_days -subj /CN=dev-ca -out ca.crt 2>/dev/null
    new_key sa.key
    openssl pkey -in sa.key -pubout -out sa.pub 2>/dev/null

    local both='extendedKeyUsage=serverAuth,clientAuth' client='extendedKeyUsage=clientAuth' service=DNS:kubernetes
    certificate apiserver /O=system:masters/CN=kube-apiserver "$both" \
        "subjectAltName=DNS:localhost,$service,$service.default,$service.default.svc,IP:127.0.0.1,IP:10.96.0.1,IP:$node_ip"
    certificate kubelet /O=system:nodes/CN=system:node:node "$both" "subjectAltName=DNS:node,IP:127.0.0.1,IP:$node_ip"
    certificate admin /O=system:masters/CN=admin "$client"
    certificate controller-manager /CN=system:kube-controller-manager "$client"
    certificate scheduler /CN=system:kube-scheduler "$client"
    certificate proxy /CN=system:kube-proxy "$client"
    local user
    for user in admin controller-manager scheduler kubelet proxy; do kubeconfig_of "$user"; done
)
