#!/usr/bin/env bash
# A proxy in front that says whose each connection is (PROXY protocol, version 2): haproxy, and one of
# our own that is slow or lies. Who is no proxy may say nothing of the kind.
. "$(dirname "$0")/../lib.sh"
command -v haproxy >/dev/null || die "haproxy is missing: ops/deps test"
export SEALGATE_DEV_OPTIONS='proxy_from: 127.0.0.9/32
proxy_from_bearer: 127.0.0.9/32
connections_per_source_max: 3
handshake_ms_max: 1500
log_level: debug'
own_instance proxy
cd "$work"
. "$dir/ports"
front=$(free_port)
front_bearer=$(free_port)
cat >haproxy.cfg <<END
global
    stats timeout 5s
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen certificate
    bind 127.0.0.1:$front
    server gateway 127.0.0.1:$port source 127.0.0.9 send-proxy-v2
listen bearer
    bind 127.0.0.1:$front_bearer
    server gateway 127.0.0.1:$bearer_port source 127.0.0.9 send-proxy-v2 check inter 200
END
haproxy -db -f haproxy.cfg >haproxy.log 2>&1 &
proxy=$!
trap 'rc=$?; kill $proxy 2>/dev/null || true; instance_end $rc' EXIT
within 10 port_taken "$front" || { cat haproxy.log; fail "haproxy does not start"; }
ended() {
    curl -fsS "http://127.0.0.1:$metrics_port/metrics" |
        awk -v name="sealgate_connections_ended_total{why=\"$1\",listener=\"certificate\"}" '$1 == name { print $2 }'
}
# asks PORT FROM OPTION...: the status.
asks() {
    curl -sS --http2 --interface "$2" --cacert "$SEALGATE_CA" -o body -w '%{http_code}' -H 'content-type: application/json' \
        -d '{}' "${@:3}" "https://127.0.0.1:$1/sealgate.v1.InfoService/GetServerInfo" || true
}
certificate=(--cert "$SEALGATE_CERT" --key "$SEALGATE_KEY")
bearer=(-H "authorization: Bearer $(cat "$dir/bearer/app.token")")
came_from() { grep -q "event=conn.ready.* from=$1 \|from=$1 .*event=conn.ready\|event=conn.ready.*from=$1\$" "$dir/log"; }

[ "$(asks "$front" 127.0.0.5 "${certificate[@]}")" = 200 ] || fail "haproxy does not get through"
within 2 came_from 127.0.0.5 || fail "the log does not say who came through haproxy"
[ "$(asks "$front_bearer" 127.0.0.6 "${bearer[@]}")" = 200 ] || fail "haproxy does not get through to the other listener"
within 2 came_from 127.0.0.6 || fail "the log does not say who came to the other listener"
[ "$(asks "$port" 127.0.0.7 "${certificate[@]}")" = 200 ] || fail "who is no proxy is not served as before"
! came_from 127.0.0.9 || fail "the proxy is taken for a caller"
ok "haproxy says who calls, at both listeners; others call as before"

# Three connections of one address, through the proxy; the fourth is refused, and nobody else is.
mkfifo -m 600 hold
exec 8<>hold
before=$(ended address)
has_open() { curl -fsS "http://127.0.0.1:$metrics_port/metrics" | grep -x "sealgate_connections{listener=\"certificate\"} $1" >/dev/null; }
within 5 has_open 0 || fail "the connections so far stay open"
for _ in 1 2 3; do
    openssl s_client -bind 127.0.0.5:0 -connect "127.0.0.1:$front" -alpn h2 <hold >/dev/null 2>&1 8>&- &
    held+=($!)
done
# All three before anybody asks, who would take the place of one.
within 5 has_open 3 || fail "not three connections are held"
refused() { [ "$(asks "$front" 127.0.0.5 "${certificate[@]}" 2>/dev/null)" = 000 ]; }
within 5 refused || fail "the limit of an address does not count through the proxy"
[ "$(ended address)" -gt "$before" ] || fail "it is not counted"
[ "$(asks "$front" 127.0.0.6 "${certificate[@]}")" = 200 ] || fail "another address suffers for it"
kill "${held[@]}"
ok "the limit of connections per address is the caller's, not the proxy's"

/usr/bin/python3 - "$port" "$dir/pki" <<'END' || fail "a proxy of our own"
import socket, ssl, struct, sys, time
port, pki = int(sys.argv[1]), sys.argv[2]
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V6 = SIGNATURE + b"\x21\x21" + struct.pack(">H", 36 + 6) + socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(16) + bytes(4) + b"\4\0\3abc"
LOCAL = SIGNATURE + b"\x20\0\0\0"

def reach(source):
    raw = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
    raw.settimeout(10)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return raw

def shake(raw):
    context = ssl.create_default_context(cafile=f"{pki}/ca.pem")
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(raw, server_hostname="localhost").selected_alpn_protocol()

def is_ended(raw, alert=False):
    try:
        said = raw.recv(100)
        return said == b"" or (alert and said[:1] == b"\x15")
    except ConnectionResetError:
        return True

raw = reach("127.0.0.9")
for i in range(len(V6)):
    raw.send(V6[i : i + 1])
    time.sleep(0.01)
assert shake(raw) == "h2", "byte by byte"
raw = reach("127.0.0.9")
raw.send(LOCAL)
assert shake(raw) == "h2", "LOCAL"
raw = reach("127.0.0.9")
raw.send(b"\x16\x03\x01\x02\x00")
assert is_ended(raw), "a proxy without its header"
raw = reach("127.0.0.9")
raw.send(SIGNATURE + b"\x21\x31\0\xd8" + bytes(216))
assert is_ended(raw), "a unix socket"
raw = reach("127.0.0.9")
raw.send(V6[:20])
began = time.monotonic()
assert is_ended(raw) and 1 < time.monotonic() - began < 6, "half a header"
raw = reach("127.0.0.8")
raw.send(V6)
assert is_ended(raw, alert=True), "a header of who is no proxy"
END
within 2 came_from 2001:db8::7 || fail "the log does not say who came over IPv6"
[ "$(ended proxy_header)" -ge 2 ] || fail "headers that are none are not counted"
ok "headers in pieces, none, wrong ones, slow ones, and those of who is no proxy"
