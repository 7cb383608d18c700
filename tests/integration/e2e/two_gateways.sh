#!/usr/bin/env bash
# Two gateways on one PostgreSQL, each with a log of its own: a request_id is one signature whichever of
# them is asked, and both at once; whoever is asked tells the receipt of the one that signed.
[ -n "${SG_TEST_PG:-}" ] || exec "$(dirname "$0")/../../support/postgres" "$0"
. "$(dirname "$0")/../lib.sh"
export SEALGATE_DEV_STORE="postgresql://sealgate@/postgres?host=$SG_TEST_PG"
own_instance two_gateways
first_endpoint=$SEALGATE_ENDPOINT

# The second: the same certificates and keys, another log, which its own init makes.
second() {
    SEALGATE_DEV_DIR=$dir-second SEALGATE_DEV_OPTIONS="audit_log: second" "$top/ops/dev" "$1"
}
end_both() {
    local rc=$?
    second down || rc=1
    instance_end "$rc"
}
SEALGATE_DEV_DIR=$dir-second "$top/ops/dev" reset 2>/dev/null
mkdir -p "$dir-second"
cp -a "$dir/pki" "$dir/token" "$dir-second/"
trap end_both EXIT
SEALGATE_DEV_PORT=$(free_port) SEALGATE_DEV_METRICS_PORT=$(free_port) SEALGATE_DEV_BEARER_PORT=$(free_port) second up
second_endpoint=$(eval "$(second env)" && echo "$SEALGATE_ENDPOINT")
cd "$work"
rm -f -- *

post() { # ENDPOINT METHOD JSON
    curl -s --max-time 30 --cacert "$SEALGATE_CA" --cert "$SEALGATE_CERT" --key "$SEALGATE_KEY" \
        -H 'content-type: application/json' "https://$1/sealgate.v1.$2" -d "$3"
}
field() { python3 -c 'import json, sys; v = json.load(sys.stdin)
for k in sys.argv[1].split("."): v = v.get(k, "")
print(v)' "$1"; }
request() { # ID: for a digest that is the id's
    echo '{"key":"keys/dev-p256","digest":{"algorithm":"DIGEST_ALGORITHM_SHA256","value":"'"$(
        openssl dgst -sha256 -binary <<<"$1" | base64)"'"},"requestId":"'"$1"'"}'
}

# One after the other.
id=$(cat /proc/sys/kernel/random/uuid)
one=$(post "$first_endpoint" SigningService/Sign "$(request "$id")")
two=$(post "$second_endpoint" SigningService/Sign "$(request "$id")")
[ -n "$(field signature <<<"$one")" ] || fail "not signed: $one"
[ "$(field signature <<<"$one")" = "$(field signature <<<"$two")" ] || fail "two signatures for one request_id: $two"
[ "$(field replayed <<<"$two")" = True ] || fail "the second gateway does not say that it repeats: $two"
[ "$(field receipt.log <<<"$two")" = audit/main/epochs/1 ] || fail "the receipt is not of the log that has it: $two"
ok "what one signed the other tells"

# Both at once, many times.
for i in $(seq 1 20); do
    request "$(cat /proc/sys/kernel/random/uuid)" >request
    post "$first_endpoint" SigningService/Sign @request >"$i.first" &
    pid=$!
    post "$second_endpoint" SigningService/Sign @request >"$i.second"
    wait $pid
done
python3 - <<'END' || fail "asked of both at once"
import json
replayed = 0
for i in range(1, 21):
    first, second = (json.load(open(f"{i}.{who}")) for who in ("first", "second"))
    same = lambda field: first["receipt"][field] == second["receipt"][field]
    assert first["signature"] == second["signature"], (first, second)
    assert same("log") and same("leafIndex"), (first, second)
    replayed += first.get("replayed", False) + second.get("replayed", False)
assert replayed == 20, replayed
END
ok "asked of both at once, one of them signs"

# Each log is whole, and has its own key.
for which in "$dir" "$dir-second"; do
    "$SEALGATE_BUILD/bin/sealgated" verify --config "$which/sealgate.yaml" >verified || fail "the log in $which: $(cat verified)"
    ok "$(tail -n 1 verified)"
done
! cmp -s "$dir/audit/log.vkey" "$dir-second/audit/log.vkey" || fail "two logs have one key"
own=$(post "$second_endpoint" AuditService/GetCheckpoint '{}')
other=$(post "$second_endpoint" AuditService/GetCheckpoint '{"log":"audit/main"}')
[ "$(field log <<<"$own")" = audit/second/epochs/1 ] || fail "the second's own log: $own"
[ "$(field size <<<"$other")" -gt 1 ] || fail "the first's log, asked of the second: $other"
ok "the second shows both"
