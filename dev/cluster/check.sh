#!/usr/bin/env bash
# Checks that the development cluster does what the tests and the demo rely on: restricted pods, tokens for an audience,
# Services and their names, volumes that keep their data, a stop of the API server. Leaves nothing in the cluster.
set -euo pipefail
source "$(dirname "$0")/place.sh"

readonly job_seconds=240 # for a Job to complete; 4 s on an idle machine, a minute where the kubelet lost the API server
readonly namespace=cluster-check

k() { "$cluster_scripts/kubectl" --namespace $namespace "$@"; }

remove() { k delete namespace $namespace --ignore-not-found --timeout=120s >/dev/null 2>&1; }

environment() {
    cat <<EOT
apiVersion: v1
kind: Namespace
metadata: {name: $namespace, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: check, namespace: $namespace}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: $namespace}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Service
metadata: {name: page, namespace: $namespace}
spec: {selector: {job-name: page}, ports: [{port: 80, targetPort: 8080}]}
EOT
}

# job NAME SCRIPT: a shell as a sender pod would run: restricted, with a token for an audience and the claim's volume.
job() {
    cat <<EOT
apiVersion: batch/v1
kind: Job
metadata: {name: $1}
spec:
  backoffLimit: 2
  template:
    spec:
      serviceAccountName: check
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      securityContext: {runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: shell
          image: localhost/busybox:dev
          imagePullPolicy: IfNotPresent
          command: [/bin/sh, -ec]
          args:
            - |
$(while read -r line; do printf '%14s%s\n' '' "$line"; done <<<"$2")
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: data, mountPath: /data}, {name: token, mountPath: /token}]
      volumes:
        - {name: data, persistentVolumeClaim: {claimName: data}}
        - {name: token, projected: {sources: [{serviceAccountToken: {path: token, audience: herald, expirationSeconds: 600}}]}}
EOT
}

completes() {
    k wait --for=condition=Complete --timeout=${job_seconds}s "job/$1" >/dev/null || {
        k describe pods >&2
        k logs "job/$1" >&2 || true
        fail "job $1 did not complete"
    }
}

trap remove EXIT
remove
environment | k apply -f - >/dev/null
job page 'cut -d. -f2 /token/token | base64 -d 2>/dev/null | grep -q herald
    mkdir -p /data/page
    echo kept >/data/page/index.html
    exec httpd -f -p 8080 -h /data/page' | k create -f - >/dev/null
job caller "for try in \$(seq 60); do
    wget -qO- http://page.$namespace.svc.cluster.local | grep kept && exit 0
    sleep 1
    done
    exit 1" | k create -f - >/dev/null
completes caller
say 'yes  a restricted pod runs, has its token, writes to its volume, and is called by the name of its Service'

k delete job page --wait --cascade=foreground >/dev/null
job reader 'grep kept /data/page/index.html' | k create -f - >/dev/null
completes reader
say 'yes  the volume keeps its data for the next pod'

if [[ -z $(named_context) ]]; then
    "$cluster_scripts/apiserver.sh" stop
    ! k get namespace default >/dev/null 2>&1 || fail 'the API server answers though it was stopped'
    "$cluster_scripts/apiserver.sh" start
    job again 'true' | k create -f - >/dev/null
    completes again
    say 'yes  the API server was stopped and started, and the cluster goes on'
    grep -q "\"namespace\":\"$namespace\",\"name\":\"again\"" "$cluster_state/log/audit.log" || fail 'the audit log lacks a write'
    say 'yes  the audit log has the writes'
fi
