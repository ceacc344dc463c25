#!/usr/bin/env bash
# Builds the image localhost/herald:dev into target/image/herald.tar, without Docker: the binary with the libraries it is
# linked to, the certificates of the public authorities, a user that is not root, and nothing else.
#
# HERALD_PROFILE names the cargo profile: release (the default), or dev, which tests use because it is there already.
# HERALD names a binary to pack instead of building one.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly user=65532 # as in the distroless images
readonly tag=localhost/herald:dev
archive=${CARGO_TARGET_DIR:-target}/image/herald.tar

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

build_herald() {
    local profile=${HERALD_PROFILE:-release} folder
    folder=$profile
    [[ $profile != dev ]] || folder=debug
    cargo build --locked --bin herald --profile "$profile" >&2
    printf '%s' "${CARGO_TARGET_DIR:-target}/$folder/herald"
}

# The loader and the libraries, as full paths.
libraries() { ldd "$1" | sed -n 's/^\t\(.* => \)\{0,1\}\(\/[^ ]*\) (.*/\2/p'; }

certificates() {
    local file
    for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
        [[ ! -e $file ]] || { printf '%s' "$file" && return; }
    done
    fail 'the certificates of the public authorities were not found: install ca-certificates'
}

# fill FOLDER BINARY: the files of the image.
fill() {
    local folder=$1 binary=$2 library
    mkdir -p "$folder"/{usr/local/bin,etc/ssl/certs}
    # Without debug information, which is most of its size.
    strip -o "$folder/usr/local/bin/herald" "$binary"
    for library in $(libraries "$binary"); do
        mkdir -p "$folder$(dirname "$library")"
        cp -L "$library" "$folder$library"
    done
    cp -L "$(certificates)" "$folder/etc/ssl/certs/ca-certificates.crt"
    printf 'herald:x:%s:%s::/:/sbin/nologin\n' $user $user >"$folder/etc/passwd"
    printf 'herald:x:%s:\n' $user >"$folder/etc/group"
    # Names of Services before those of public DNS; glibc would ask for more without the file.
    printf 'hosts: files dns\n' >"$folder/etc/nsswitch.conf"
}

labels() {
    local label=org.opencontainers.image version
    version=$(sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q}' Cargo.toml)
    printf '{"%s.title":"herald","%s.version":"%s","%s.licenses":"Apache-2.0"}' $label $label "$version" $label
}

# What the image is made of: if none of it changed, there is nothing to do.
ingredients() { sha256sum "$1" dev/image.sh dev/image-archive.sh "$(certificates)"; }

herald=${HERALD:-}
[[ -n $herald ]] || herald=$(build_herald)
[[ -x $herald ]] || fail "$herald is not there"
mkdir -p "$(dirname "$archive")"
if [[ -e $archive ]] && ingredients "$herald" | cmp -s - "$archive.ingredients"; then
    printf '%s is up to date: %s\n' "$tag" "$archive"
    exit 0
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fill "$folder" "$herald"
dev/image-archive.sh "$folder" "$archive" \
    '{"User":"'$user:$user'","Entrypoint":["/usr/local/bin/herald"],"WorkingDir":"/","Labels":'"$(labels)"'}' "$tag"
ingredients "$herald" >"$archive.ingredients"
printf '%s is in %s (%s)\n' "$tag" "$archive" "$(du -h "$archive" | cut -f 1)"
