# What the benchmarks share. Sourced, not run; bash.
#
# A benchmark takes turns: in every round each of its cases runs once, so that whatever else the
# machine does meets all of them alike. Its figures are medians over the rounds.
set -euo pipefail
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../ops/lib/common.sh"
. "$top/ops/lib/pki.sh"

# One token is what most benchmarks are about; those that want two say so.
export SEALGATE_DEV_TOKENS=${SEALGATE_DEV_TOKENS:-1}
build=${SEALGATE_BUILD:?set by ops/bench and by ctest}
programs=$build/bench
# In a build with the sanitizer, too, the token process is not to unwind every call (tests/support/leaks.c).
export ASAN_OPTIONS=${ASAN_OPTIONS:-fast_unwind_on_malloc=1}
work=$(mktemp -d "${TMPDIR:-/tmp}/sealgate-bench.XXXXXX")
# However early one ends, what it stops is a gateway of its own, not the one under .dev/.
export SEALGATE_DEV_DIR=$work/dev
pids=()

# bench_end: called however the benchmark ends; stops what it started and removes its files.
bench_end() {
    local rc=$?
    trap - EXIT
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    if declare -F bench_stop >/dev/null; then bench_stop; fi
    rm -rf "$work"
    exit "$rc"
}
trap bench_end EXIT
trap 'exit 130' INT TERM

# bench_options ROUNDS MS "$@": sets rounds, ms and quick.
bench_options() {
    rounds=$1 ms=$2 quick=no
    shift 2
    while [ $# -gt 0 ]; do
        case "$1" in
        --quick) rounds=1 ms=300 quick=yes ;;
        --rounds) rounds=${2:?--rounds wants a number}; shift ;;
        --ms) ms=${2:?--ms wants a number of milliseconds}; shift ;;
        -h | --help) usage "$0"; exit 0 ;;
        *) die "no such option: \"$1\" (--quick, --rounds N, --ms N)" ;;
        esac
        shift
    done
    [[ $rounds =~ ^[1-9][0-9]*$ && $ms =~ ^[1-9][0-9]*$ ]] || die "rounds and ms are numbers from 1"
}

# bench_build TARGET...
bench_build() {
    local log=$work/build.log
    cmake --build "$build" --target "$@" >"$log" 2>&1 || { tail -40 "$log" >&2; die "could not build $*"; }
}

has_target() { cmake --build "$build" --target help | grep "^$1:" >/dev/null; }

# SoftHSM2's module.
softhsm() {
    local module
    for module in /usr/lib/*/softhsm/libsofthsm2.so /usr/lib/softhsm/libsofthsm2.so /usr/lib64/softhsm/libsofthsm2.so; do
        [ ! -f "$module" ] || { echo "$module"; return; }
    done
    die "SoftHSM2 is not installed: ops/deps build"
}

# value NAME LINE: of name=value.
value() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" <<<"$2"; }

# Arithmetic on decimals: calc 'a / b'.
calc() { awk "BEGIN { printf \"%.6f\", ($1) }"; }

# median NUMBER...
median() {
    printf '%s\n' "$@" | sort -g |
        awk '{ v[NR] = $1 } END { printf "%.3f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# in_time MAX LATE FIGURES: one figure of each round; those of the rounds in which the load itself was late by MAX at
# most, which LATE says of each.
in_time() {
    awk -v max="$1" -v late="$2" -v figures="$3" 'BEGIN {
        if (split(late, l) != (n = split(figures, f))) exit 2
        for (i = 1; i <= n; i++) if (l[i] + 0 <= max + 0) print f[i]
    }'
}

# machine: what figures depend on, for the head of a table.
machine() {
    echo "$(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), load $(cut -d' ' -f1-3 /proc/loadavg)"
}

# rig NAME [VARIABLE=VALUE]: a copy of the fault rig's module in front of SoftHSM2's, or of the module
# RIG_MODULE, with a control file of its own; its path goes to stdout. `rig_control NAME WORD...` controls it.
rig() {
    local copy=$work/$1.so built
    built=$(find "$build" -name libfaultp11.so | head -n 1)
    [ -n "$built" ] || die "the fault rig is not built"
    cp "$built" "$copy"
    printf 'module=%s\ncontrol=%s\n' "${RIG_MODULE:-$(softhsm)}" "$work/$1.control" >"$copy.conf"
    [ -z "${2:-}" ] || echo "env=$2" >>"$copy.conf"
    : >"$work/$1.control"
    echo "$copy"
}

rig_control() { "$(find "$build" -name faultctl -type f | head -n 1)" "$work/$1.control" "${@:2}"; }

# dev_instance: names a development instance of this benchmark's own, for ops/dev.
dev_instance() {
    export SEALGATE_BUILD=$build SEALGATE_DEV_DIR=$work/dev SEALGATE_DEV_BEARER_PORT=none
    SEALGATE_DEV_PORT=$(free_port) SEALGATE_DEV_METRICS_PORT=$(free_port)
    export SEALGATE_DEV_PORT SEALGATE_DEV_METRICS_PORT
}

# dev_down: stops it, and shows the end of its log when that goes wrong.
dev_down() { "$top/ops/dev" down 2>/dev/null || tail -n 20 "$SEALGATE_DEV_DIR/log" >&2; }

# dev_key_id NAME: its CKA_ID on the development token.
dev_key_id() { awk -v name="$1" '$1 == name { print $3 }' "$SEALGATE_DEV_DIR/token/keys"; }

# unrecorded_build: a build folder like ours, but its sealgated records nothing; its path goes to stdout.
unrecorded_build() {
    mkdir -p "$work/unrecorded/bin"
    ln -s "$build"/bin/* "$build/lib" "$work/unrecorded/bin/"
    ln -sf "$programs/bench_unrecorded" "$work/unrecorded/bin/sealgated"
    echo "$work/unrecorded"
}

# metered_dev NAME BUILD COMMAND: ops/dev for the instance in $work/NAME, whose CPU time in C_Sign and in verification is
# added up in $work/NAME.meter. Before its `up`, metered_ports.
metered_dev() {
    SEALGATE_BUILD=$2 SEALGATE_DEV_DIR=$work/$1 SEALGATE_DEV_BEARER_PORT=none \
        SEALGATE_DEV_PORT=${port[$1]} SEALGATE_DEV_METRICS_PORT=${metrics_port[$1]} \
        SEALGATE_DEV_MODULE=$programs/meter.so METER_MODULE=$(softhsm) METER_FILE=$work/$1.meter \
        ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 LD_PRELOAD=$programs/meter.so "$top/ops/dev" "$3"
}
declare -A port=() metrics_port=()
metered_ports() { port[$1]=$(free_port) metrics_port[$1]=$(free_port); }

# metered_pids: the processes in what ops/dev says as its status, as options of bench_load.
metered_pids() { sed -n 's/^\([0-9][0-9]*\) .*\(sealgated\|bench_unrecorded\) .*/--pid \1/p'; }
