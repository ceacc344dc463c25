# The volumes of the development cluster: folders of the machine, made beforehand, for claims of the default class.
# Sourced after place.sh.
# shellcheck shell=bash disable=SC2154 # names come from place.sh

readonly volume_count=40 # claims between two runs of `make cluster`: one a test, with room to spare

volume_class() {
    cat <<EOT
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: kubernetes.io/no-provisioner
EOT
}

volume() {
    cat <<EOT
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: $1}
spec:
  storageClassName: standard
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: $cluster_state/volumes/$1, type: Directory}
EOT
}

# Open to every user: hostPath volumes take no notice of fsGroup.
make_folder() {
    rm -rf --one-file-system "${cluster_state:?}/volumes/$1"
    mkdir -p "$cluster_state/volumes/$1"
    chmod 777 "$cluster_state/volumes/$1"
}

# make_volumes NAME...
make_volumes() {
    local name
    for name in "$@"; do make_folder "$name"; done
    {
        volume_class
        for name in "$@"; do volume "$name"; done
    } | "$cluster_scripts/kubectl" apply -f - >/dev/null
}

make_all_volumes() {
    local names
    mapfile -t names < <(seq -f 'volume-%02g' $volume_count)
    make_volumes "${names[@]}"
}

# A volume whose claim is gone stays Released, with its data, and is not bound again: those are made anew, empty.
renew_released_volumes() {
    local released
    mapfile -t released < <("$cluster_scripts/kubectl" get persistentvolumes \
        -o go-template='{{range .items}}{{if eq .status.phase "Released"}}{{.metadata.name}}{{"\n"}}{{end}}{{end}}')
    ((${#released[@]})) || return 0
    "$cluster_scripts/kubectl" delete --timeout=60s persistentvolumes "${released[@]}" >/dev/null
    make_volumes "${released[@]}"
}
