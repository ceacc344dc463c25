# Checks that what the development cluster takes from the distribution is there; installs it where apt-get and root
# are, and otherwise says what to install.
# shellcheck shell=bash disable=SC2154 # names come from place.sh

# Prints the Debian packages of what is missing.
missing_packages() {
    local pair
    for pair in containerd:containerd ctr:containerd runc:runc iptables:iptables ip:iproute2 openssl:openssl \
        sysctl:procps nsenter:util-linux; do
        command -v "${pair%%:*}" >/dev/null || say "${pair##*:}"
    done
    cni_folder >/dev/null || say containernetworking-plugins
    static_busybox >/dev/null || say busybox-static
}

# Debian puts the network plugins into the first, others into the second.
cni_folder() {
    local folder
    for folder in /usr/lib/cni /opt/cni/bin; do
        if [[ -x $folder/ptp && -x $folder/host-local ]]; then
            printf '%s' "$folder"
            return
        fi
    done
    return 1
}

# The busybox of the images has to run without libraries.
static_busybox() {
    local path
    path=$(command -v busybox) && ! ldd "$path" >/dev/null 2>&1 && printf '%s' "$path"
}

install_requirements() {
    local packages
    mapfile -t packages < <(missing_packages | sort -u)
    ((${#packages[@]})) || return 0
    command -v apt-get >/dev/null ||
        fail "the cluster needs what Debian calls ${packages[*]}: install it and run make cluster again"
    say "Installing for the cluster: ${packages[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}
