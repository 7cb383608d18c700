#!/usr/bin/env bash
# A page of an origin that the configuration names: it may ask without a certificate and read the
# answer; it may call with one only. Any other page is told nothing.
. "$(dirname "$0")/../lib.sh"
export SEALGATE_DEV_OPTIONS='cors_origins: https://page.example
connect_version_required: true'
own_instance cors
cd "$work"

url=https://$SEALGATE_ENDPOINT/sealgate.v1.InfoService/GetServerInfo
# asks ORIGIN OPTION...: the status; the head in ./head, the body in ./body.
asks() {
    curl -sS --http2 --cacert "$SEALGATE_CA" -D head -o body -w '%{http_code}' -H "origin: $1" "${@:2}" "$url"
}
preflight=(-X OPTIONS -H 'access-control-request-method: POST' -H 'access-control-request-headers: content-type')
call=(-H 'content-type: application/json' -d '{}')
certificate=(--cert "$SEALGATE_CERT" --key "$SEALGATE_KEY")
version=(-H 'connect-protocol-version: 1')
says() { grep -qi "^$1" head || { cat head; fail "$2"; }; }

[ "$(asks https://page.example "${preflight[@]}")" = 204 ] || fail "the preflight is refused"
says 'access-control-allow-origin: https://page.example' "the preflight does not name the origin"
ok "a preflight without a certificate"

[ "$(asks https://page.example "${call[@]}" "${version[@]}" "${certificate[@]}")" = 200 ] || fail "the call is refused"
says 'access-control-allow-origin: https://page.example' "the answer may not be read"
says 'access-control-allow-credentials: true' "the answer may not be read with a certificate"
ok "a call with a certificate"

[ "$(asks https://page.example "${call[@]}" "${version[@]}")" = 401 ] || fail "nobody may call"
says 'access-control-allow-origin: https://page.example' "the page cannot read why"
ok "a call without one: $(cut -c1-60 body)..."

[ "$(asks https://evil.example "${preflight[@]}")" = 403 ] || fail "another origin is allowed"
! grep -qi '^access-control' head || fail "another origin is told something"
ok "another origin"

[ "$(asks https://page.example "${call[@]}" "${certificate[@]}")" = 400 ] || fail "a call without its version passes"
ok "a call without its version"
