#!/usr/bin/env bash
# Old leaves leave the store while the gateway signs: where they are then, and what is said of them.
. "$(dirname "$0")/../lib.sh"
export SEALGATE_DEV_OPTIONS="request_id_retention_s: 60"
own_instance archive
cd "$work"
rm -rf "$work"/*
sealgated=$SEALGATE_BUILD/bin/sealgated
config=$dir/sealgate.yaml
key=$(cat "$dir/audit/log.vkey")
post() { # METHOD JSON
    curl -s --max-time 20 --cacert "$SEALGATE_CA" --cert "$SEALGATE_CERT" --key "$SEALGATE_KEY" \
        -H 'content-type: application/json' "https://$SEALGATE_ENDPOINT/sealgate.v1.$1" -d "$2"
}
has() { grep -qF -- "$1" "$2" || { cat "$2"; fail "$2 does not say \"$1\""; }; }
archive() { $sealgated archive --config "$config" --to "$work/archive" "$@" >said 2>&1; }

digest=$(echo notice | openssl dgst -sha256 -binary | base64)
request='{"key":"keys/dev-p256","digest":{"algorithm":"DIGEST_ALGORITHM_SHA256","value":"'$digest'"},"requestId":"'$(cat /proc/sys/kernel/random/uuid)'"}'
sealgate bench --key dev-p256 --requests 20 >/dev/null # its first leaves never leave
post SigningService/Sign "$request" >first
has signature first
sealgate bench --key dev-p256 --requests 1100 >/dev/null
made=$SECONDS

! archive --before yesterday || fail "a time that is none"
has "is a time in UTC" said
! archive || fail "a folder that is not there"
mkdir archive
archive --before 1s || { cat said; fail "young leaves"; }
has "stay" said
has "nothing to archive" said
ok "leaves whose requests may be repeated stay"

while [ $((SECONDS - made)) -lt 62 ]; do sleep 1; done
sealgate bench --key dev-p256 --duration 15 >bench.out &
load=$!
sleep 1
archive --leaves 300 || { cat said; fail "no archive"; }
has "leaves 0 to 255" said
archive || { cat said; fail "no archive"; }
cat said
kill -0 "$load" 2>/dev/null || fail "the load ended before the archive did"
wait "$load" || { cat bench.out; fail "calls failed while leaves left the store"; }
end=$(sed -n 's/^archived: leaves [0-9]* to \([0-9]*\) in .*/\1/p' said | tail -n 1)
[ "$end" -ge 767 ] || fail "leaf $end is the last"
ok "while it signs"

sealgate audit verify archive/*.export --log-key "$key" || fail "the archive is not proved"
/usr/bin/python3 "$top/tests/interop/audit/verify.py" "$key" archive/*.export >/dev/null || fail "the foreign judge disagrees"
[ "$(sealgate audit verify archive/*.export --log-key "$key" --list | grep -c signature)" -ge 700 ] || fail "signatures are missing"
! ls archive/*.part 2>/dev/null || fail "a part is left"
ok "the archive proves itself"

post AuditService/GetReceipt '{"name":"audit/main/leaves/300"}' >said
has LEAF_ARCHIVED said
post AuditService/GetReceipt '{"name":"audit/main/leaves/0"}' >said
has checkpoint said
post AuditService/ListLeaves '{"pageSize":1}' >said
has "\"name\":\"audit/main/epochs/1/leaves/$((end + 1))\"" said
post AuditService/GetConsistencyProof '{"oldSize":"100"}' >said
has proof said
post SigningService/Sign "$request" >said
has REQUEST_ID_EXPIRED said
ok "archived leaves are told apart, and their requests are not signed again"

$sealgated verify --config "$config" | tee said
has "its first $((end + 1)) leaves are in an archive" said
"$top/ops/dev" down >/dev/null 2>&1
"$top/ops/dev" up >/dev/null 2>&1
post SigningService/Sign "$request" >said
has REQUEST_ID_EXPIRED said
echo after >after
sealgate sign --key dev-p256 --file after --out after.sig --receipt after.receipt --log-key "$key"
sealgate audit verify after.receipt --log-key "$key" >/dev/null
ok "it starts and signs without them"
