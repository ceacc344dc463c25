#!/usr/bin/env bash
# Makes the image of the development cluster's own pods: a shell with the usual commands. It sleeps when given nothing
# to do, which is all that the pause container of a pod is for. Usage: busybox-image.sh BUSYBOX FILE.tar
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

mkdir "$folder/bin"
cp "$1" "$folder/bin/busybox"
for command in $("$1" --list); do
    [[ $command == busybox ]] || ln -s busybox "$folder/bin/$command"
done
"$(dirname "$0")/../image-archive.sh" "$folder" "$2" \
    '{"Env":["PATH=/bin"],"User":"65532:65532","Entrypoint":["/bin/sleep"],"Cmd":["2147483647"]}' \
    localhost/pause:dev localhost/busybox:dev
