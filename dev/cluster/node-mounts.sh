#!/usr/bin/env bash
# Runs a command with the mounts of the node, in a mount namespace made for it: what containerd, the kubelet and pods
# mount, and what they write to fixed places, is gone with their last process. Usage: node-mounts.sh STATE COMMAND...
set -euo pipefail
state=$1
shift

# Shared among the processes in here only: the namespace was made with private mounts.
mount --make-rshared /
for folder in /run /var/log /var/lib/kubelet /var/lib/cni; do
    mount -t tmpfs -o mode=755 tmpfs "$folder"
done

# The kubelet sets these for the whole machine. It gets files to write to instead.
mkdir -p "$state/sysctl"
while read -r name value; do
    [[ -e /proc/sys/$name ]] || continue
    printf '%s\n' "$value" >"$state/sysctl/${name##*/}"
    mount --bind "$state/sysctl/${name##*/}" "/proc/sys/$name"
done <<'EOT'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
EOT

# Names of registries are refused at once by the cluster's DNS, where the machine's would time out from in here.
target=$(realpath -m /etc/resolv.conf)
mkdir -p "$(dirname "$target")"
[[ -e $target ]] || : >"$target"
mount --bind "$state/resolv.conf" "$target"

exec "$@"
