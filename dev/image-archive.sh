#!/usr/bin/env bash
# Packs a folder as an image of one layer that docker, podman, kind and containerd load: no Docker and no root needed.
# The same files give the same bytes. Usage: image-archive.sh FOLDER FILE.tar CONFIG TAG...
# CONFIG is the `config` object of the image, as JSON.
set -euo pipefail
(($# >= 4)) || {
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
}
folder=$1 archive=$2 config=$3
shift 3

case $(uname -m) in
x86_64) architecture=amd64 ;;
aarch64) architecture=arm64 ;;
*) architecture=$(uname -m) ;;
esac

parts=$(mktemp -d)
trap 'rm -rf "$parts" "$archive.part"' EXIT

pack() { tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX "$@"; }
digest() { sha256sum "$1" | cut -d ' ' -f 1; }

pack -C "$folder" -cf "$parts/layer.tar" .
cat >"$parts/config" <<EOT
{"architecture":"$architecture","os":"linux","created":"1970-01-01T00:00:00Z","config":$config,
"rootfs":{"type":"layers","diff_ids":["sha256:$(digest "$parts/layer.tar")"]}}
EOT
config_file=$(digest "$parts/config").json
mv "$parts/config" "$parts/$config_file"
tags=$(printf '"%s",' "$@")
printf '[{"Config":"%s","RepoTags":[%s],"Layers":["layer.tar"]}]\n' "$config_file" "${tags%,}" >"$parts/manifest.json"

mkdir -p "$(dirname "$archive")"
pack -C "$parts" -cf "$archive.part" "$config_file" layer.tar manifest.json
# The rename makes it visible only when whole.
mv "$archive.part" "$archive"
