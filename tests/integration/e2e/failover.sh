#!/usr/bin/env bash
# Two gateways behind one endpoint list, under load: one that is drained costs no call, one that is
# killed costs none either, for they are known by their request_id; frozen it costs at most the
# calls that it had, which are told as such; and calls that begin
# while both are away wait for the first that comes back.
. "$(dirname "$0")/../lib.sh"
own_instance failover
first=$dir second=$dir.second
at() { # FOLDER COMMAND...: of the instance there
    local SEALGATE_DEV_DIR=$1
    shift
    "$@"
}
gateway_of() { at "$1" role_pid gateway; }
has_gateway() { [ -n "$(gateway_of "$1")" ]; }
end() {
    local rc=$?
    [ "$rc" = 0 ] || { echo "end of $second/log:"; tail -n 30 "$second/log"; } >&2
    at "$second" instance_down || rc=1
    [ -z "${bench:-}" ] || kill "$bench" 2>/dev/null || true
    instance_end $rc
}
trap end EXIT
export SEALGATE_DEV_DIR=$first

# The second has the certificates of the first.
at "$second" "$top/ops/dev" reset 2>/dev/null
mkdir -p "$second"
cp -a "$first/pki" "$second/pki"
cp -a "$first/token" "$second/token"
SEALGATE_DEV_PORT=$(free_port) SEALGATE_DEV_METRICS_PORT=$(free_port) SEALGATE_DEV_BEARER_PORT=$(free_port) at "$second" "$top/ops/dev" up
. "$second/ports"
one=$SEALGATE_ENDPOINT two=127.0.0.1:$port
export SEALGATE_ENDPOINT="$one, $two"
cd "$work"

callers=16
load() { # SECONDS [OPTION...]: signs in the background
    sealgate bench --key dev-p256 --concurrency $callers --duration "$@" --output json >bench.json 2>bench.err &
    bench=$!
}
field() { grep -o "\"$1\": *[0-9]*" bench.json | head -n 1 | grep -o '[0-9]*$'; }
loaded() { # the load has ended: its figures in $good and $lost
    wait "$bench" || true
    bench=
    good=$(field signatures) lost=$(field failures)
    [ -n "$good" ] || { cat bench.err; fail "the load did not run to its end"; }
    [ "$good" -gt 100 ] || fail "only $good signatures"
}

load 8
sleep 1
at "$first" "$top/ops/dev" down   # SIGTERM: GOAWAY, and what was begun finishes
sleep 1
at "$first" "$top/ops/dev" up
at "$second" "$top/ops/dev" down
sleep 1
at "$second" "$top/ops/dev" up
loaded
[ "$lost" = 0 ] || { cat bench.json; fail "$lost calls failed while each gateway in turn was drained"; }
ok "drained: $good signatures, none lost"

load 8 --timeout 30 # where a gateway starts slowly both are away for a while
kills=0
for _ in 1 2 3; do
    for gateway in "$first" "$second"; do
        sleep 1
        within 20 has_gateway "$gateway" || fail "no gateway comes after one that was killed"
        kill -9 "$(gateway_of "$gateway")"
        kills=$((kills + 1))
    done
done
loaded
# Each signature has a request_id: what had been sent is sent again to the other.
[ "$lost" = 0 ] || { cat bench.json; fail "$lost calls failed by $kills kills"; }
ok "killed $kills times: $good signatures, none lost"

# Frozen, which nobody is told of: what it had runs into its deadline, and then the other is asked.
load 6 --timeout 2
sleep 1
frozen=$(gateway_of "$first")
kill -STOP "$frozen"
loaded
kill -CONT "$frozen"
[ "$lost" -le $callers ] || { cat bench.json; fail "$lost calls failed by one frozen gateway"; }
grep -q '"rate"' bench.json && [ "$good" -gt 100 ] || { cat bench.json; fail "too little after the freeze"; }
ok "frozen: $good signatures, $lost that may have been done"

# Both away: the call waits, and is answered when one is back.
at "$first" "$top/ops/dev" down
at "$second" "$top/ops/dev" down
echo document >document
sealgate sign --key dev-p256 --file document --out s.sig --timeout 60 >sign.out 2>&1 &
call=$!
sleep 1
kill -0 $call 2>/dev/null || { cat sign.out; fail "the call did not wait"; }
at "$second" "$top/ops/dev" up
wait $call || { cat sign.out; fail "the call that waited was not answered"; }
sealgate verify --key dev-p256 --file document --signature s.sig >/dev/null || fail "not valid"
ok "a call waited for a gateway to come back"

# And when none comes, the cause is told, and that it was not done.
at "$second" "$top/ops/dev" down
code=0
sealgate sign --key dev-p256 --file document --out s.sig --timeout 1 --output json >sign.out 2>&1 || code=$?
[ $code = 3 ] && grep -q '"reason": *"CONNECT_FAILED"' sign.out && grep -q '"outcome": *"not-done"' sign.out ||
    { cat sign.out; fail "exit code $code"; }
at "$first" "$top/ops/dev" up
at "$second" "$top/ops/dev" up
ok "a call that found nobody says so"
