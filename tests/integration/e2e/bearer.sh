#!/usr/bin/env bash
# Callers by bearer tokens: who is let in to what, where a token counts, that it is nowhere to be
# found afterwards, and that a change of the list counts from the next call on.
. "$(dirname "$0")/../lib.sh"
export SEALGATE_DEV_OPTIONS='log_level: debug'
own_instance bearer
cd "$work"
. "$dir/ports"
eval "$("$top/ops/dev" env app)"
[ -z "${SEALGATE_CERT:-}" ] || fail "the environment of a caller by token has a certificate"
token=$(cat "$SEALGATE_TOKEN_FILE")
url=https://127.0.0.1:$bearer_port
# asks TOKEN METHOD OPTION...: the status; the head in ./head, the body in ./body.
asks() {
    printf 'authorization: Bearer %s\n' "$1" >header
    curl -sS --http2 --cacert "$SEALGATE_CA" -D head -o body -w '%{http_code}' -H @header \
        -H 'content-type: application/json' -d '{}' "${@:3}" "$url/$2"
}
challenged() { grep -qi "^www-authenticate: $1"$'\r'"\$" head || { cat head; fail "$2"; }; }
info=sealgate.v1.InfoService/GetServerInfo
other=$(printf 'x%.0s' {1..43})

echo "Seen and signed." >document
sealgate sign --key dev-p256 --file document --out document.sig
sealgate keys public-key dev-p256 --out key.pem
openssl dgst -sha256 -verify key.pem -signature document.sig document >/dev/null || fail "the signature does not verify"
sealgate info --output json | grep -q '"caller": *"bearer app"' || fail "the gateway does not say who calls"
sealgate sign --key dev-rsa2048 --file document 2>err && fail "a key of others signs"
grep -q KEY_NOT_FOUND err || fail "a key of others is told of"
sealgate keys csr dev-p256 --subject CN=app 2>err && fail "a method that is not listed"
grep -q METHOD_NOT_ALLOWED err || fail "a method is refused for another reason"
ok "sealgate signs by a token and no certificate, and may what its row says"

[ "$(asks "$token" $info)" = 200 ] || fail "the token is not taken"
[ "$(asks "$other" $info)" = 401 ] && grep -q '"BEARER_UNKNOWN"' body || fail "another token is taken"
challenged 'Bearer error="invalid_token"' "it is not said that the token is wrong"
[ "$(asks "${token%?}" $info)" = 401 ] || fail "a token cut short is taken"
[ "$(asks "$token" $info -H "authorization: Bearer $other")" = 401 ] || fail "one of two tokens is taken"
: >empty
[ "$(curl -sS --cacert "$SEALGATE_CA" -D head -o body -w '%{http_code}' -H 'content-type: application/json' -d '{}' \
    "$url/$info")" = 401 ] && grep -q '"BEARER_REQUIRED"' body || fail "no token is needed"
challenged Bearer "it is not said what to show"
# An answer without a body that comes before curl 7.88 has sent its own is taken, and then waited for.
printf '\0\0\0\0\0' | curl -sS --http2 --max-time 5 --cacert "$SEALGATE_CA" -D head -o body -H 'content-type: application/grpc' \
    -H 'te: trailers' --data-binary @- "$url/$info" 2>err || [ $? = 28 ] || fail "gRPC without a token: $(cat err)"
grep -qi '^grpc-status: 16' head && ! grep -qi '^www-authenticate' head || fail "gRPC tells it otherwise"
ok "no token, a wrong one and two are refused, as HTTP and gRPC have it"

eval "$("$top/ops/dev" env)"
url=https://127.0.0.1:$port
[ "$(asks "$token" $info)" = 401 ] && grep -q '"CERT_REQUIRED"' body || fail "a token counts where certificates do"
! grep -qi '^www-authenticate' head || fail "a token is asked for where certificates count"
[ "$(asks "$other" $info --cert "$SEALGATE_CERT" --key "$SEALGATE_KEY")" = 200 ] || fail "the header is not ignored beside a certificate"
url=https://127.0.0.1:$bearer_port
ok "a token counts at its own listener only"

# The list is read again on SIGHUP: a second token, then an end to both, then none.
config=$dir/sealgate.yaml
gateway=$(role_pid gateway)
reload() {
    local seen
    seen=$(grep -c 'event=app.reload' "$dir/log" || true)
    mv config.new "$config"
    kill -HUP "$gateway"
    reloaded() { [ "$(grep -c 'event=app.reload' "$dir/log")" -gt "$seen" ]; }
    within 5 reloaded || fail "nothing is read on SIGHUP"
}
sealgate token new --out next.token >/dev/null
next=$(cat next.token)
hash() { tr -d '\n' | sha256sum | cut -d' ' -f1; }
sed "s/token_sha256: \[\(.*\)\]/token_sha256: [\1, $(hash <next.token)]/" "$config" >config.new
reload
[ "$(asks "$token" $info)$(asks "$next" $info)" = 200200 ] || fail "of two tokens not both are taken"
sed "s/token_sha256: .*/&\n    token_expires: $(date -u -d '+10 seconds' +%Y-%m-%dT%H:%M:%SZ)/" "$config" >config.new
reload
[ "$(asks "$next" $info)" = 200 ] || fail "a token ends before its time"
expired() { [ "$(asks "$next" $info)" = 401 ] && grep -q '"BEARER_EXPIRED"' body; }
within 20 expired || fail "a token outlives its time"
challenged 'Bearer error="invalid_token"' "it is not said that the token has expired"
sed '/token_expires/d; s/token_sha256: .*/token_sha256: [not a hash]/' "$config" >config.new
reload
grep -q 'event=app.reload_failed' "$dir/log" || fail "a broken list is taken"
expired || fail "a broken list changes something"

# The list and the CRLs take effect each by itself; and the list is read when somebody says so.
pki_client "$dir/pki" guest
certified() { [ "$(url=https://127.0.0.1:$port asks "$other" $info --cert "$dir/pki/guest.pem" --key "$dir/pki/guest.key")" = 200 ]; }
refused() { ! certified 2>/dev/null; }
reloads() { [ "$(grep -c 'event=app.reloaded' "$dir/log")" -gt "$seen" ]; }
certified || fail "the certificate is not taken"
pki_revoke "$dir/pki" guest
within 5 refused || fail "a broken list keeps a revoked certificate in force"
sed "/token_expires/d; s/token_sha256: .*/token_sha256: [$(hash <next.token)]/" "$config" >config.new
mv config.new "$config"
seen=$(grep -c 'event=app.reloaded' "$dir/log")
pki_crl "$dir/pki"
within 5 reloads || fail "a new CRL is not taken"
expired || fail "a change of the list counts before anybody said so"
echo "no CRL" >"$dir/pki/ca.crl"
cp "$config" config.new
reload
grep -q 'event=app.reload_failed.*CRL' "$dir/log" || fail "a broken CRL is taken"
removed() { [ "$(asks "$token" $info)$(asks "$next" $info)" = 401200 ]; }
within 5 removed || fail "a broken CRL keeps a removed token in force"
pki_crl "$dir/pki"
ok "a broken list stops no CRL, and a broken CRL no change of the list"

sed "s/token_sha256: .*/token_sha256: [$(hash <<<"$token")]/" "$config" >config.new
reload
[ "$(asks "$token" $info)$(asks "$next" $info)" = 200401 ] || fail "a token that was taken from the list counts"
ok "a change of the list counts from the next call on"

# What strangers can cause is counted whole and logged in part.
for _ in {1..120}; do printf 'url = "%s/%s"\noutput = body\n' "$url" $info; done >many
curl -sS --http2 --cacert "$SEALGATE_CA" -H "authorization: Bearer $other" -H 'content-type: application/json' -d '{}' -K many
count=$(curl -fsS "http://127.0.0.1:$metrics_port/metrics" | awk '/^sealgate_refusals_total.reason="BEARER_UNKNOWN"/ { print $2 }')
lines=$(grep -c 'reason=BEARER_UNKNOWN' "$dir/log")
[ "$count" -ge 120 ] && [ "$lines" -lt 80 ] || fail "$count wrong tokens and $lines lines"
! grep -rqF -e "$token" -e "$next" -e "$other" "$dir/log" "$config" || fail "a token is in the log or the configuration"
ok "$count wrong tokens, $lines lines in the log, and no token in it"
