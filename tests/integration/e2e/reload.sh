#!/usr/bin/env bash
# SIGHUP: a new server certificate is shown to new connections while the old ones live on; one that
# is broken leaves the old one in force, is told in the log, and is tried again when it is mended.
. "$(dirname "$0")/../lib.sh"
own_instance reload
cd "$work"
gateway=$(role_pid gateway)
metrics=$(grep -o 'metrics_listen: .*' "$dir/sealgate.yaml" | cut -d' ' -f2)

: >connections
shown() { # the serial number of the certificate that a new connection is shown
    echo >>connections
    openssl s_client -connect "$SEALGATE_ENDPOINT" -CAfile "$SEALGATE_CA" -cert "$SEALGATE_CERT" \
        -key "$SEALGATE_KEY" -alpn h2 </dev/null 2>/dev/null | openssl x509 -noout -serial
}
serial() { openssl x509 -in "$dir/pki/server.pem" -noout -serial; }
shows() { [ "$(shown)" = "$1" ]; }
signs() { sealgate sign --key dev-p256 --file "$top/README.md" --out s.sig >/dev/null 2>&1; }
logged() { [ "$(grep -c "event=$1" "$dir/log")" -ge "$2" ]; }
number() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" bench.json | head -n 1; } # NAME: of the load
accepted() { curl -fsS "http://$metrics/metrics" | awk '/^sealgate_connections_accepted_total.*certificate/ { print $2 }'; }

old=$(serial)
shows "$old" || fail "the certificate that is shown is not the one in the file"

# One connection that signs all the time, before, while and after.
: >connections
before=$(accepted)
sealgate bench --key dev-p256 --connections 1 --concurrency 2 --duration 8 --output json >bench.json &
load=$!
sleep 1
pki_issue "$dir/pki" server server
new=$(serial)
[ "$new" != "$old" ] || fail "the new certificate is the old one"
shows "$old" || fail "a certificate is taken before anybody said so"
kill -HUP "$gateway"
within 5 shows "$new" || fail "the new certificate is not shown"
within 5 logged app.reloaded 1 || fail "the log does not tell of it"
kill -0 $load || fail "the load was over before the certificate changed"
wait $load || { cat bench.json; fail "the load failed"; }
[ "$(number failures)" = 0 ] || { cat bench.json; fail "a call of the old connection failed"; }
more=$(($(accepted) - before - $(wc -l <connections)))
[ $more = 1 ] || fail "the load needed $more connections"
ok "a new certificate for new connections; the old one signed $(number signatures) times across the change"
[ "$(role_pid gateway)" = "$gateway" ] || fail "the gateway process changed"

# By the launcher too, which passes the signal on.
pki_issue "$dir/pki" server server
new=$(serial)
kill -HUP "$(cat "$dir/run/pid")"
within 5 shows "$new" || fail "SIGHUP to the launcher does not reach the gateway"
ok "SIGHUP to the launcher"

# broken NAME: what is in the files now is not taken, and the certificate before stays in force.
failures=0
broken() {
    failures=$(grep -c event=app.reload_failed "$dir/log" || true)
    kill -HUP "$gateway"
    within 5 logged app.reload_failed $((failures + 1)) || fail "$1: the log does not tell of it"
    grep event=app.reload_failed "$dir/log" | tail -n 1 | grep -q level=error || fail "$1 is no error in the log"
    shows "$new" || fail "$1 is shown, or nothing is"
    signs || fail "$1: no signature"
    [ "$(role_pid gateway)" = "$gateway" ] || fail "$1: the gateway process changed"
    ok "$1: $(grep event=app.reload_failed "$dir/log" | tail -n 1 | grep -o 'error=.*class')"
}
cp "$dir/pki/server.pem" good.pem
cp "$dir/pki/server.key" good.key
echo "no certificate" >"$dir/pki/server.pem"
broken "a file that is no certificate"
head -n 5 good.pem >"$dir/pki/server.pem"
broken "half a certificate"
rm "$dir/pki/server.pem"
broken "a file that is gone"
cp good.pem "$dir/pki/server.pem"
openssl ecparam -name prime256v1 -genkey -noout -out "$dir/pki/server.key"
broken "a key of another certificate"

# Nobody says so: what failed is tried again by itself.
pki_issue "$dir/pki" server server
new=$(serial)
within 10 shows "$new" || fail "a certificate that is mended is not taken"
signs || fail "no signature by the certificate that is mended"
ok "what failed is tried again: a certificate that is mended is taken"

# A long list is read beside the work. It counts when it is read, however often that was asked for, and an end waits for it.
cp "$dir/sealgate.yaml" good.yaml
seq 150000 | sed 's/.*/  - {name: long-&, ca: dev-ca, uri: "urn:long:&", methods: [sealgate.v1.InfoService]}/' >>"$dir/sealgate.yaml"
"$SEALGATE_BUILD/bin/sealgated" --check-config --config "$dir/sealgate.yaml" >/dev/null || fail "the long list is not in order"
reloads=$(grep -c event=app.reloaded "$dir/log") answers=0
kill -HUP "$gateway"
until logged app.reloaded $((reloads + 1)); do
    accepted >/dev/null && answers=$((answers + 1))
    [ $answers -lt 2000 ] || fail "the long list is not read"
done
# Where it is read by the loop, one or two: that before the signal, and that which waited for the end.
[ $answers -ge 4 ] || fail "the gateway answered $answers times while it read its list"
ok "a long list is read beside the work: $answers answers meanwhile"
kill -HUP "$gateway"
sleep 0.05
kill -HUP "$gateway"
sleep 0.05
kill -HUP "$gateway"
within 30 logged app.reloaded $((reloads + 3)) || fail "of two that came while a list was read, none led to another reading"
sleep 3
[ "$(grep -c event=app.reloaded "$dir/log")" = $((reloads + 3)) ] || fail "those that came while a list was read led to more than one reading"
ok "who asks while a list is read has it read once more"
kill -HUP "$gateway"
"$top/ops/dev" down >/dev/null 2>&1 || fail "it does not end while it reads a list"
tail -n 5 "$dir/log" | grep -q 'process=gateway event=app.stopped' || fail "it did not end in order"
cp good.yaml "$dir/sealgate.yaml"
ok "an end waits for what is being read"
