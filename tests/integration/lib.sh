# What the end-to-end tests share. Sourced, not run; bash.
#
# Each such test has a development instance of its own, so that it may kill and revoke as it likes:
# own_instance makes it, and whatever happens it is stopped at the end.
set -euo pipefail
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../ops/lib/common.sh"
. "$top/ops/lib/pki.sh"
. "$top/tests/support/instance.sh"

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
ok() { printf 'ok: %s\n' "$*"; }

# own_instance NAME: up, its folder in $dir, its environment exported, a work folder in $work.
own_instance() {
    export SEALGATE_BUILD=${SEALGATE_BUILD:?set by ctest}
    export SEALGATE_DEV_DIR=$SEALGATE_BUILD/e2e/$1
    dir=$SEALGATE_DEV_DIR
    trap instance_end EXIT
    instance_up
    eval "$("$top/ops/dev" env)"
    work=$dir/work
    mkdir -p "$work"
}

# Stops the instance however the test ended: as the trap of EXIT, or with the status from another.
instance_end() {
    local rc=${1:-$?}
    trap - EXIT
    [ "$rc" = 0 ] || { echo "end of $dir/log:"; tail -n 30 "$dir/log"; } >&2
    instance_down || rc=1
    exit "$rc"
}

# role_pid NAME: the process of the instance that runs as that role, gateway or token; nothing where
# there is none, or while the launcher is about to start it.
role_pid() {
    { "$top/ops/dev" status || true; } | sed -nE "s/^([0-9]+) .*sealgated $1( .*)?\$/\1/p" | sed -n 1p
}

# within SECONDS COMMAND...: until it succeeds.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}
