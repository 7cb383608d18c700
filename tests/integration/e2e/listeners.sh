#!/usr/bin/env bash
# The listener for those who have a certificate, and the one that asks for none: what each says in
# its handshake, whom it serves, and that both are counted and end together.
. "$(dirname "$0")/../lib.sh"
own_instance listeners
cd "$work"
. "$dir/ports"
listener() { case "$1" in certificate) echo "$port" ;; bearer) echo "$bearer_port" ;; esac; }
metric() { curl -fsS "http://127.0.0.1:$metrics_port/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }
certificate=(--cert "$SEALGATE_CERT" --key "$SEALGATE_KEY")
# asks LISTENER METHOD OPTION...: the status; the body in ./body.
asks() {
    curl -sS --http2 --cacert "$SEALGATE_CA" -o body -w '%{http_code}' -H 'content-type: application/json' -d '{}' \
        "${@:3}" "https://127.0.0.1:$(listener "$1")/$2"
}

handshake() { openssl s_client -connect "127.0.0.1:$(listener "$1")" -CAfile "$SEALGATE_CA" -alpn h2 </dev/null 2>&1; }
handshake certificate | grep -q 'Sealgate development CA$' || fail "the listener for certificates names no CA"
handshake bearer >said
grep -q 'No client certificate CA names sent' said || fail "the other listener asks for a certificate"
grep -q 'Verify return code: 0' said || fail "its own certificate does not verify"
ok "one asks for a certificate, the other does not"

for which in certificate bearer; do
    before=$(metric "sealgate_connections_accepted_total{listener=\"$which\"}")
    [ "$(asks "$which" grpc.health.v1.Health/Check)" = 200 ] && grep -q '"SERVING"' body || fail "$which: no health"
    for method in sealgate.v1.InfoService/GetServerInfo sealgate.v1.KeyService/ListKeys; do
        [ "$(asks "$which" "$method")" = 401 ] || fail "$which: nobody may call $method"
    done
    [ "$(metric "sealgate_connections_accepted_total{listener=\"$which\"}")" = $((before + 3)) ] ||
        fail "$which: its connections are not counted"
done
ok "nobody has health at both and nothing else; each counts its own"

[ "$(asks certificate sealgate.v1.InfoService/GetServerInfo "${certificate[@]}")" = 200 ] || fail "the certificate is not taken"
[ "$(asks bearer sealgate.v1.InfoService/GetServerInfo "${certificate[@]}")" = 401 ] ||
    fail "a certificate that nobody asked for was taken"
ok "a certificate counts where it is asked for"

by_protocol() { metric "sealgate_rpcs_by_protocol_total{protocol=\"$1\"}"; }
grpc=$(by_protocol grpc) connect=$(by_protocol connect) web=$(by_protocol grpc_web)
sealgate health >/dev/null
asks bearer grpc.health.v1.Health/Check >/dev/null
asks bearer sealgate.v1.InfoService/GetServerInfo >/dev/null # refused, and counted all the same
printf '\0\0\0\0\0' >nothing
curl -sS --http2 --cacert "$SEALGATE_CA" -o body -H 'content-type: application/grpc-web' --data-binary @nothing \
    "https://127.0.0.1:$bearer_port/grpc.health.v1.Health/Check"
[ "$(by_protocol grpc) $(by_protocol connect) $(by_protocol grpc_web)" = "$((grpc + 1)) $((connect + 2)) $((web + 1))" ] ||
    fail "calls are not counted by their protocol"
ok "calls are counted by their protocol"

# A connection of each that stays, so that both have something to drain.
mkfifo -m 600 hold 2>/dev/null || true
exec 8<>hold
for which in certificate bearer; do
    openssl s_client -connect "127.0.0.1:$(listener "$which")" -alpn h2 <hold >/dev/null 2>&1 8>&- &
done
held() { [ "$(metric "sealgate_connections{listener=\"$1\"}")" = 1 ]; }
within 10 held certificate && within 10 held bearer || fail "the connections are not open"
began=$SECONDS
gateway=$(role_pid gateway)
kill -TERM "$(role_pid run)" # the launcher, which keeps the sockets
closed() { ! port_taken "$port" && ! port_taken "$bearer_port"; }
within 10 closed || fail "a port is still open"
gone() { ! kill -0 "$gateway" 2>/dev/null; }
within 9 gone || fail "a listener was not drained"
jobs -p | xargs -r kill 2>/dev/null || true
ok "both end, after $((SECONDS - began)) s"
