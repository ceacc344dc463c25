#!/usr/bin/env bash
# Has a MariaDB ready for the tests of databases (tests/audience_sql.rs and others start one of their own): the one that is
# there, else as root on Debian that of the distribution, which is neither set up nor started. Elsewhere it says what is left
# out; in CI (CI=true) that is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
source dev/cluster/place.sh

is_there() {
    { command -v mariadbd || [[ -x /usr/sbin/mariadbd ]]; } >/dev/null && command -v mariadb-install-db >/dev/null
}

is_there && exit 0
if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
    # The programs alone: mariadb-server would start a server of the system's.
    apt-get update >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends mariadb-server-core mariadb-client-core >&2
    is_there || fail 'mariadb-server-core was installed, but mariadbd and mariadb-install-db were not found'
    exit 0
fi
[[ ${CI:-} != true ]] || fail 'in CI the tests of MariaDB run: install it with: sudo apt-get install -y mariadb-server-core mariadb-client-core'
say 'skipped: the tests of MySQL and MariaDB (sudo apt-get install -y mariadb-server-core mariadb-client-core)' >&2
