#!/usr/bin/env bash
# Builds the programs of the development cluster from pinned Go modules into the user's cache folder.
# Usage: build.sh [PROGRAM...]   (default: all of dev/cluster/programs)
#
# What is there already is kept: an interrupted build goes on where it was, a second clone builds nothing.
set -euo pipefail
source "$(dirname "$0")/place.sh"

readonly oldest_go=25        # minor version of Go 1 that the modules ask for
readonly report_seconds=30   # between two signs of life where no terminal shows a running clock

find_go() {
    PATH=$PATH:/usr/local/go/bin:$HOME/go/bin
    local minor
    minor=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p') || true
    ((${minor:-0} >= oldest_go)) ||
        fail "Go 1.$oldest_go or newer is needed to build the cluster's programs: see https://go.dev/dl/"
}

# Without the stamps kubelet and kubectl call themselves v0.0.0, and the API server refuses the skew.
linker_flags() {
    local version minor stamp=k8s.io/component-base/version
    printf -- '-s -w'
    [[ $1 == kubernetes ]] || return 0
    version=$(sed -n 's/^require k8s.io\/kubernetes //p' "$cluster_scripts/modules/kubernetes/go.mod")
    minor=${version#v1.}
    printf -- ' -X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s -X %s.gitTreeState=clean' \
        "$stamp" "$version" "$stamp" "$stamp" "${minor%%.*}" "$stamp"
}

compile() {
    local program=$1 folder=$2 package=$3
    cd "$cluster_scripts/modules/$folder"
    CGO_ENABLED=0 GOFLAGS='-mod=readonly -buildvcs=false' \
        exec go build -trimpath -ldflags "$(linker_flags "$folder")" -o "$building/$program" "$package"
}

# Shows the seconds while the process runs; ends with its exit code.
watch_build() {
    local pid=$1 title=$2 started=$SECONDS said=$SECONDS
    while kill -0 "$pid" 2>/dev/null; do
        if [[ -t 1 ]]; then
            printf '\r%s %4d s' "$title" $((SECONDS - started))
        elif ((SECONDS - said >= report_seconds)); then
            said=$SECONDS
            say "$title still building after $((SECONDS - started)) s"
        fi
        sleep 0.5
    done
    wait "$pid" || return
    [[ ! -t 1 ]] || printf '\r'
    printf '%s %4d s, built\n' "$title" $((SECONDS - started))
}

compiler='' building=''
stop_compiler() {
    [[ -z $compiler ]] || kill "$compiler" 2>/dev/null || true
    [[ -z $building ]] || rm -rf "$building"
}

build_missing() {
    local number=0 total=$# program folder package
    building=$cluster_cache/building
    rm -rf "$building"
    mkdir -p "$building" "$cluster_bin"
    trap stop_compiler EXIT
    for program in "$@"; do
        number=$((number + 1))
        read -r _ folder package < <(grep "^$program " "$cluster_scripts/programs")
        compile "$program" "$folder" "$package" 2>"$cluster_cache/$program.log" &
        compiler=$!
        watch_build "$compiler" "$(printf '[%d/%d] %-24s' "$number" "$total" "$program")" || {
            tail -n 20 "$cluster_cache/$program.log" >&2
            fail "$program could not be built; all that go said is in $cluster_cache/$program.log"
        }
        compiler=''
        # The rename makes it visible only when whole.
        mv "$building/$program" "$cluster_bin/$program"
    done
}

wanted=("$@")
((${#wanted[@]})) || mapfile -t wanted < <(awk '!/^#/ {print $1}' "$cluster_scripts/programs")
for program in "${wanted[@]}"; do
    grep -q "^$program " "$cluster_scripts/programs" || fail "$program is not in $cluster_scripts/programs"
done

mkdir -p "$cluster_cache"
exec 9>"$cluster_cache/lock"
flock -n 9 || { say 'Another build of these programs is running; waiting for it' && flock 9; }

missing=()
for program in "${wanted[@]}"; do
    [[ -x $cluster_bin/$program ]] || missing+=("$program")
done
((${#missing[@]})) || exit 0
find_go
say "Building ${#missing[@]} programs for the cluster into $cluster_bin (all of them: about 10 minutes on two cores, once)"
build_missing "${missing[@]}"
