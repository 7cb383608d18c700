# What every command in ops/ needs. Sourced, not run; bash.

# The top of the source tree, also when the command was called through a symbolic link.
top=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd -P)

say() { printf '%s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# Prints the comment at the head of a command as its help.
usage() { sed -n '2,/^[^#]/p' "$1" | sed -n 's/^# \{0,1\}//p'; }

# build_preset PRESET [TARGET...]: configures and builds; quiet unless it fails.
build_preset() {
    local preset=$1 log
    shift
    log=$(mktemp)
    if ! { (cd "$top" && cmake --preset "$preset" &&
        cmake --build --preset "$preset" ${1:+--target "$@"}); } >"$log" 2>&1; then
        tail -60 "$log" >&2
        rm -f "$log"
        die "the build of preset \"$preset\" failed"
    fi
    rm -f "$log"
}

# Whether something listens on 127.0.0.1:PORT.
port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port of 127.0.0.1 on which nobody listens, below the range that the kernel hands out. It is this
# caller's for ten minutes, so that nobody else is given it before he listens, or while what listened
# on it is started anew.
free_port() {
    local port given=${TMPDIR:-/tmp}/sealgate-ports.$(id -u)
    mkdir -p -m 700 "$given"
    find "$given" -mindepth 1 -mmin +10 -delete 2>/dev/null || true
    for _ in {1..200}; do
        port=$((20000 + RANDOM % 12000))
        mkdir "$given/$port" 2>/dev/null || continue
        port_taken "$port" || { echo "$port"; return; }
    done
    die "found no free port"
}
