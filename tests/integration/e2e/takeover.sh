#!/usr/bin/env bash
# One gateway takes over from another on the same sockets: no call is lost, the program and the
# configuration are those that are there by then, and when the new one does not get ready the old one
# goes on as if nothing had happened.
. "$(dirname "$0")/../lib.sh"
own_instance takeover
cd "$work"
"$top/ops/dev" down
export SOFTHSM2_CONF=$dir/token/softhsm2.conf
echo "takeover_ms: 5000" >>"$dir/sealgate.yaml"
bearer=$(grep '^listen_bearer:' "$dir/sealgate.yaml")
sed -i '/^listen_bearer:/d' "$dir/sealgate.yaml" # to be added later
mkdir -p bin
cp "$SEALGATE_BUILD/bin/sealgated" bin/sealgated
cp "$dir/sealgate.yaml" "$dir/good.yaml"

# As a path that leads there by a link, which is how programs are often replaced.
ln -sfn bin current
: >log
./current/sealgated run --config "$dir/sealgate.yaml" >>log 2>&1 </dev/null &
launcher=$!
end() {
    local rc=$?
    kill "$launcher" 2>/dev/null || true
    wait "$launcher" 2>/dev/null || true
    [ $rc = 0 ] || tail -n 40 log >&2
    cat log >>"$dir/log" # where sanitizers are looked for
    instance_end $rc
}
trap end EXIT
signs() { sealgate sign --key dev-p256 --file "$top/README.md" --out s.sig >/dev/null 2>&1; }
children() { # ROLE: the processes of the launcher in that role
    local process
    for process in /proc/[0-9]*; do
        if grep -qx "PPid:[[:space:]]*$launcher" "$process/status" 2>/dev/null &&
            tr '\0' ' ' <"$process/cmdline" 2>/dev/null | grep -q "sealgated $1 "; then
            echo "${process#/proc/}"
        fi
    done
}
one_gateway() { [ "$(children gateway | wc -l)" = 1 ]; }
times() { grep -c -- "$1" log || true; }
has_more() { [ "$(times "$2")" -gt "$1" ]; }
# takes_over: tells the launcher, and waits until the old gateway has gone; the new one in $gateway.
takes_over() {
    local before
    before=$(times launcher.takeover_done)
    kill -USR2 "$launcher"
    within 20 has_more "$before" launcher.takeover_done || fail "no gateway took over"
    within 20 one_gateway || fail "the old gateway does not go"
    gateway=$(children gateway)
}
# takes_not_over TEXT: tells the launcher, which logs TEXT, and the gateway stays.
takes_not_over() {
    local before
    before=$(times launcher.takeover_failed)
    kill -USR2 "$launcher"
    within 20 has_more "$before" launcher.takeover_failed || fail "the takeover did not fail"
    grep launcher.takeover_failed log | tail -n 1 | grep -- "$1" >/dev/null || fail "the log does not say why"
    within 10 one_gateway || fail "what failed does not go"
    [ "$(children gateway)" = "$gateway" ] || fail "the gateway is another"
    signs || fail "the gateway does not sign any more"
}

within 10 signs || fail "the roles do not serve"
first=$(children gateway) token=$(children token)

sealgate bench --key dev-p256 --connections 4 --concurrency 16 --duration 6 --output json >bench.json 2>bench.err &
bench=$!
sleep 1
takes_over
second=$gateway
sleep 0.5
takes_over
wait "$bench" || { cat bench.json bench.err; fail "calls failed while gateways were replaced"; }
field() { grep -o "\"$1\": *[0-9]*" bench.json | head -n 1 | grep -o '[0-9]*$'; }
[ "$(field failures)" = 0 ] && [ "$(field signatures)" -gt 100 ] || { cat bench.json; fail "calls were lost"; }
[ "$first" != "$second" ] && [ "$second" != "$gateway" ] || fail "a gateway is the one before"
[ "$(children token)" = "$token" ] || fail "the token process went too"
kill -0 "$launcher" || fail "the launcher went too"
started=$(curl -s --max-time 20 --cacert "$SEALGATE_CA" --cert "$SEALGATE_CERT" --key "$SEALGATE_KEY" -H 'content-type: application/json' \
    "https://$SEALGATE_ENDPOINT/sealgate.v1.AuditService/ListLeaves" -d '{"filter":{"event":"AUDIT_EVENT_GATEWAY_STARTED"}}')
for process in "$second" "$gateway"; do
    grep -q " $process\\\\nconfiguration: sha256:[0-9a-f]*\\\\ntakes over: yes" <<<"$started" || fail "no record of the start of $process: $started"
done
[ "$(grep -c "launcher.ended role=gateway pid=\($first\|$second\) exit=0" log)" = 2 ] || fail "an old gateway did not end well"
ok "two gateways took over under load: $(field signatures) signatures, none lost"

mkdir -p bin.new
cp "$SEALGATE_BUILD/bin/sealgated" bin.new/sealgated
ln -sfn bin.new current
takes_over
[ "/proc/$gateway/exe" -ef bin.new/sealgated ] || fail "the gateway is the program before"
sed 's/^listen:/log_level: debug\n&/' "$dir/good.yaml" >"$dir/sealgate.yaml"
takes_over
signs
grep -q 'level=debug process=gateway' log || fail "the gateway has the configuration before"
curl -sf "http://$(grep -o 'metrics_listen: .*' "$dir/good.yaml" | cut -d' ' -f2)/healthz" >/dev/null ||
    fail "the metrics are not served"
ok "the program and the configuration are those that are there by then"

echo "$bearer" >>"$dir/sealgate.yaml"
takes_over
takes_over
[ "$(times app.socket_missing)" = 2 ] || fail "a gateway opened a socket that its successor cannot have"
ok "an address that is new waits for a restart, and is in no successor's way"
cp "$dir/good.yaml" "$dir/sealgate.yaml"

echo "no_such_option: 1" >>"$dir/sealgate.yaml"
takes_not_over "ended before it was ready"
ok "a configuration that is wrong leaves the gateway that serves"
sed 's/^tls_certificate_file: .*/tls_certificate_file: pki\/none.pem/' "$dir/good.yaml" >"$dir/sealgate.yaml"
takes_not_over "ended before it was ready"
ok "so does a file that is missing"
cp "$dir/good.yaml" "$dir/sealgate.yaml"
sed -i 's/^    socket: .*/    socket: run\/elsewhere.sock/' "$dir/sealgate.yaml"
takes_not_over "not ready in time"
ok "so does one whose tokens are all away"
begun=$(times launcher.takeover_begun) failed=$(times launcher.takeover_failed) reloads=$(times 'event=app.reloaded')
kill -USR2 "$launcher"
within 5 has_more "$begun" launcher.takeover_begun || fail "it was not begun"
kill -HUP "$launcher"
within 4 has_more $((reloads + 1)) 'event=app.reloaded' || fail "a reload reaches not both"
within 10 has_more "$failed" launcher.takeover_failed || fail "it took over without a token"
within 10 one_gateway || fail "what failed does not go"
ok "a reload reaches the gateway that is to take over, too"
cp "$dir/good.yaml" "$dir/sealgate.yaml"
mv bin.new/sealgated bin.new/kept
printf '#!/bin/sh\nexec sleep 60\n' >bin.new/sealgated
chmod +x bin.new/sealgated
kill -USR2 "$launcher"
within 5 has_more 0 'takeover_begun' || fail "it was not begun"
kill -USR2 "$launcher" # while one is under way
within 10 has_more 0 'launcher.takeover_refused why="one is under way"' || fail "a second one is not refused"
before=$(times launcher.takeover_failed)
within 10 has_more "$before" launcher.takeover_failed || fail "it is waited for without end"
mv bin.new/kept bin.new/sealgated
signs || fail "the gateway does not sign any more"
ok "so does a program that says nothing; and one takeover is under way at a time"

kill -USR2 "$gateway"
within 5 has_more 0 app.signal_ignored || fail "a stray signal is not told"
signs || fail "a stray signal ended the gateway"
takes_over
signs || fail "the gateway does not sign any more"
ok "a signal to the gateway itself does nothing; the next takeover succeeds"

# A call that is under way when the gateway is told to go has its time.
kill -TERM "$launcher"
rc=0
wait "$launcher" || rc=$?
[ $rc = 0 ] || fail "the launcher ended with status $rc"
[ -z "$(children gateway)$(children token)" ] || fail "a role outlives the launcher"
ok "and all of it stops as ever"
