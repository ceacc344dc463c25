#!/usr/bin/env bash
# Runs a command beside a PostgreSQL of its own: HERALD_TEST_POSTGRES is its address. Its data lie in a temporary folder, it
# listens on a socket there and on a free port of 127.0.0.1, and it ends with the command.
#
# HERALD_TEST_POSTGRES_FOLDER names that folder.
#
# An address that is set already is used as it is: it must be a server that may be filled with schemas.
#
# HERALD_TEST_POSTGRES_LISTEN is an address of this machine or network namespace to listen on as well, for programs that
# do not reach 127.0.0.1. There a password is asked for, and HERALD_TEST_POSTGRES holds it.
#
# Without a command it only sees to it that PostgreSQL is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -n ${HERALD_TEST_POSTGRES:-} ]]; then
    exec "$@"
fi

stop() {
    printf '%s\n' "$@" >&2
    exit 1
}

programs() {
    local found
    # The newest of those installed.
    found=$(find /usr/lib/postgresql /usr/pgsql-* /opt/homebrew/opt/postgresql* -maxdepth 3 -name initdb 2>/dev/null | sort -V | tail -n 1)
    if [[ -z $found ]]; then
        found=$(command -v initdb || true)
    fi
    [[ -n $found ]] && dirname "$found"
}

install() {
    if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
        stop 'PostgreSQL was not found. Install it with' '    sudo apt-get install -y postgresql' \
            'or name a server that may be filled with test data: HERALD_TEST_POSTGRES=postgres://…'
    fi
    # Debian would make and start a server of the system's; one in a folder of ours is all that is wanted.
    mkdir -p /etc/postgresql-common
    if [[ ! -e /etc/postgresql-common/createcluster.conf ]]; then
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    fi
    apt-get update >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql >&2
}

bin=$(programs) || {
    install
    bin=$(programs) || stop 'PostgreSQL was installed, but initdb was not found.'
}

(($#)) || exit 0

readonly listen=${HERALD_TEST_POSTGRES_LISTEN:-}
folder=$(mktemp -d /tmp/herald-postgres.XXXXXX)
# PostgreSQL refuses to run as root.
as_owner=()
if [[ $(id -u) -eq 0 ]]; then
    id postgres >/dev/null 2>&1 || stop 'there is no user postgres for the server to run as'
    chown postgres "$folder"
    as_owner=(setpriv --reuid postgres --regid postgres --clear-groups)
fi
owned() {
    (cd / && exec "${as_owner[@]}" "$@")
}

# shellcheck disable=SC2317 # the trap calls it
down() {
    owned "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap down EXIT

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' 2>/dev/null ||
    echo $((20000 + RANDOM % 20000)))
owned "$bin/initdb" -D "$folder/data" -U herald -A trust --no-sync -E UTF8 --locale=C.UTF-8 >"$folder/initdb.log" 2>&1 || {
    cat "$folder/initdb.log" >&2
    exit 1
}
{
    echo "listen_addresses = '127.0.0.1${listen:+,$listen}'"
    echo "port = $port"
    echo "unix_socket_directories = '$folder'"
    echo "max_connections = 300"
    echo "shared_preload_libraries = 'pg_stat_statements'"
    echo "pg_stat_statements.track_utility = off"
    # Each test has statements of its own, and those that are pushed out would be missing in sums.
    echo 'pg_stat_statements.max = 50000'
    # What a killed server has written the machine still has, and a machine that dies takes the tests along.
    echo 'fsync = off'
    echo "log_min_messages = warning"
} >>"$folder/data/postgresql.conf"
# Behind the lines for the socket and 127.0.0.1, which trust everybody.
echo 'host all all all scram-sha-256' >>"$folder/data/pg_hba.conf"
owned "$bin/pg_ctl" -D "$folder/data" -l "$folder/server.log" -w -t 60 start >/dev/null || {
    cat "$folder/server.log" >&2
    exit 1
}
owned "$bin/createdb" -h "$folder" -p "$port" -U herald herald
place=127.0.0.1:$port login=herald
if [[ -n $listen ]]; then
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    # Not among the arguments, which everybody on the machine sees.
    owned "$bin/psql" -q -h "$folder" -p "$port" -U herald herald <<<"ALTER ROLE herald PASSWORD '$password'"
    place=$listen:$port login=herald:$password
fi

# For tests that have a server to themselves: `restart immediate` crashes it first, `restart fast` ends it properly.
{
    echo '#!/usr/bin/env bash'
    echo "cd / && exec $(printf '%q ' "${as_owner[@]}" "$bin/pg_ctl") -D $folder/data -l $folder/server.log -w -t 60 -m \"\$1\" restart"
} >"$folder/restart"
chmod +x "$folder/restart"

export HERALD_TEST_POSTGRES="postgres://$login@$place/herald"
export HERALD_TEST_POSTGRES_FOLDER=$folder
status=0
"$@" || status=$?
exit $status
