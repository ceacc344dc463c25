#!/usr/bin/env bash
# Checks that Rust and a C compiler are there, installs what it may, and otherwise says exactly what to type.
set -euo pipefail
cd "$(dirname "$0")/.."

stop() {
    printf '%s\n' "$@" >&2
    exit 1
}

if ! command -v cargo >/dev/null; then
    download="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs"
    if ! command -v curl >/dev/null; then
        download="apt-get install -y curl ca-certificates && $download"
    fi
    stop "cargo was not found. Install Rust with" \
        "    $download | sh -s -- -y --profile minimal --component rustfmt --component clippy" \
        "and run make again."
fi

needed=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
found=$(rustc --version | cut -d ' ' -f 2)
if [[ $(printf '%s\n%s\n' "$needed" "${found%%-*}" | sort -V | head -n 1) != "$needed" ]]; then
    stop "Rust $found is too old, $needed or newer is needed. Update it with" "    rustup update stable"
fi

for component in fmt:rustfmt clippy:clippy; do
    command=${component%%:*} name=${component##*:}
    if ! cargo "$command" --version >/dev/null 2>&1; then
        command -v rustup >/dev/null || stop "cargo $command was not found. Install $name where your Rust comes from."
        rustup component add "$name"
    fi
done

# SQLite and ring are compiled from C, and Rust links with cc.
if ! command -v cc >/dev/null; then
    if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
        apt-get update
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends build-essential
    elif command -v apt-get >/dev/null; then
        stop "A C compiler was not found. Install one with" "    sudo apt-get install -y build-essential"
    else
        stop "A C compiler was not found: install one that answers to the name cc."
    fi
fi
