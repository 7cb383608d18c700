# What `idle` and `reconnect` share. Sourced, not run; bash.
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib.sh"
connections=10000

bench_stop() { "$top/ops/dev" down 2>/dev/null || tail -n 20 "$SEALGATE_DEV_DIR/log" >&2; }

# crowd_start SCRIPT "$@": reads the options and starts a gateway.
crowd_start() {
    local script=$1
    shift
    while [ $# -gt 0 ]; do
        case "$1" in
        --quick) connections=100 ;;
        --connections) connections=${2:?--connections wants a number}; shift ;;
        -h | --help) usage "$script"; exit 0 ;;
        *) die "no such option: \"$1\" (--quick, --connections N)" ;;
        esac
        shift
    done
    ulimit -n "$(ulimit -Hn)"
    [ "$(ulimit -n)" -ge $((connections + 100)) ] ||
        die "$connections connections need as many descriptors; this shell may have $(ulimit -Hn)"
    bench_build bench_crowd sealgated sealgate sealgate-devkeys
    export SEALGATE_BUILD=$build SEALGATE_DEV_DIR=$work/dev
    SEALGATE_DEV_PORT=$(free_port)
    SEALGATE_DEV_METRICS_PORT=$(free_port)
    SEALGATE_DEV_BEARER_PORT=none # it would keep half of the descriptors for itself
    export SEALGATE_DEV_PORT SEALGATE_DEV_METRICS_PORT SEALGATE_DEV_BEARER_PORT
    # One process plays all the clients, and each is as slow as ten thousand.
    export SEALGATE_DEV_OPTIONS='handshake_ms_max: 60000'
    crowd_gateway
}

# A gateway that has had no connection yet: memory that was used before would not be seen to be used again.
crowd_gateway() {
    "$top/ops/dev" down 2>/dev/null
    "$top/ops/dev" up
    gateway=$("$top/ops/dev" status | sed -n 's/^\([0-9][0-9]*\) .*sealgated gateway.*/\1/p')
}

# run OPTION...: the crowd; sets out.
run() {
    out=$("$programs/bench_crowd" --port "$SEALGATE_DEV_PORT" --pki "$SEALGATE_DEV_DIR/pki" \
        --pid "$gateway" --connections "$connections" "$@")
    machine
    printf '%s connections in %s s; %s checks of health: p50 %s ms, p99 %s ms, longest %s ms; %s KB each\n' \
        "$(value ready "$out")" "$(value seconds "$out")" "$(value checks "$out")" \
        "$(value health_p50_ms "$out")" "$(value health_p99_ms "$out")" \
        "$(value health_max_ms "$out")" "$(value kb_per_connection "$out")"
}
