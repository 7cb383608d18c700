#!/usr/bin/env bash
# The roles as processes of their own, as systemd starts them: the token process outlives its
# gateway, and both end cleanly when told to.
. "$(dirname "$0")/../lib.sh"
own_instance roles
cd "$work"
"$top/ops/dev" down
sealgated=$SEALGATE_BUILD/bin/sealgated
export SOFTHSM2_CONF=$dir/token/softhsm2.conf

start() { # ROLE...: in the background, its process in $!
    $sealgated "$@" --config "$dir/sealgate.yaml" >>"$dir/log" 2>&1 </dev/null &
}
stop_all() { kill "$token" "$gateway" 2>/dev/null || true; }
trap 'rc=$?; stop_all; instance_end $rc' EXIT
signs() { sealgate sign --key dev-p256 --file "$top/README.md" --out s.sig "$@" >/dev/null 2>&1; }

gateway=0
start token softhsm
token=$!
start gateway
gateway=$!
within 10 signs || fail "the roles do not serve"
ok "token process $token, gateway $gateway"

kill -TERM $gateway
rc=0
wait $gateway || rc=$?
[ $rc = 0 ] || fail "the gateway ended with status $rc"
kill -0 $token || fail "the token process went with its gateway"
ok "the token process outlives a gateway that is told to stop"

start gateway
gateway=$!
within 10 signs || fail "a new gateway does not serve"
kill -9 $gateway
wait $gateway || true
start gateway
gateway=$!
within 10 signs || fail "a gateway after one that was killed does not serve"
kill -0 $token || fail "the token process went with a gateway that was killed"
ok "the token process outlives a gateway that is killed"

kill -TERM $token
rc=0
wait $token || rc=$?
[ $rc = 0 ] || fail "the token process ended with status $rc"
! signs --timeout 2 || fail "a signature without a token process"
start token softhsm
token=$!
within 10 signs || fail "no signature after the token process came back"
ok "the gateway finds a token process that comes back"

kill -TERM $gateway $token
rc=0
wait $gateway || rc=$?
wait $token || rc=$?
[ $rc = 0 ] || fail "a role ended with status $rc"
ok "both end cleanly"
