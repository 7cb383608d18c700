#!/usr/bin/env bash
# The audit log as its users meet it: receipts that prove themselves, answers that are not made twice,
# denials, what is left after kill -9, and stores that somebody put back or changed.
. "$(dirname "$0")/../lib.sh"
own_instance audit
cd "$work"
rm -rf "$work"/*
key=$(cat "$dir/audit/log.vkey")
post() { # METHOD JSON: by Connect, as the developer
    curl -s --max-time 20 --cacert "$SEALGATE_CA" --cert "$SEALGATE_CERT" --key "$SEALGATE_KEY" \
        -H 'content-type: application/json' "https://$SEALGATE_ENDPOINT/sealgate.v1.$1" -d "$2"
}
field() { python3 -c 'import json, sys; v = json.load(sys.stdin)
for k in sys.argv[1].split("."): v = v[int(k) if k.isdigit() else k] if not isinstance(v, dict) else v.get(k, "")
print(v)' "$1"; }
size() { post AuditService/GetCheckpoint '{}' | field size; }

# The start stands in front of all else, and says by which configuration.
started=$(post AuditService/ListLeaves '{"filter":{"event":"AUDIT_EVENT_GATEWAY_STARTED"}}')
[ "$(field leaves.0.leafIndex <<<"$started")" = 1 ] || fail "the start is not leaf 1: $started"
grep -qx "configuration: sha256:$(sha256sum <"$dir/sealgate.yaml" | cut -d' ' -f1)" <<<"$(field leaves.0.content.detail <<<"$started")" ||
    fail "the start is not of this configuration: $started"
ok "a start"

# A receipt is a file that is proved without the gateway.
echo "notice 1" >notice
sealgate sign --key dev-p256 --file notice --out notice.sig --receipt notice.receipt --log-key "$key"
sealgate audit verify notice.receipt --log-key "$key" || fail "the receipt is not proved"
sed 's/^index .*/index 0/' notice.receipt >moved.receipt
! sealgate audit verify moved.receipt --log-key "$key" 2>/dev/null || fail "a receipt for another leaf is proved"
ok "a receipt"

# Asking twice is asking once.
digest=$(openssl dgst -sha256 -binary notice | base64)
id=$(cat /proc/sys/kernel/random/uuid)
request='{"key":"keys/dev-p256","digest":{"algorithm":"DIGEST_ALGORITHM_SHA256","value":"'$digest'"},"requestId":"'$id'","purpose":"test"}'
first=$(post SigningService/Sign "$request")
second=$(post SigningService/Sign "$request")
[ -n "$(field signature <<<"$first")" ] || fail "not signed: $first"
[ "$(field signature <<<"$first")" = "$(field signature <<<"$second")" ] || fail "two signatures for one request_id"
[ "$(field replayed <<<"$second")" = True ] || fail "the second is not said to be a replay: $second"
[ "$(field receipt.leafIndex <<<"$first")" = "$(field receipt.leafIndex <<<"$second")" ] || fail "two leaves for one request_id"
other=$(post SigningService/Sign "${request/test/other}")
[ "$(field details.0.debug.reason <<<"$other")" = REQUEST_ID_REUSED ] || fail "another request by the same id: $other"
ok "a request_id is one signature"

# Denials are there, and say of what.
before=$(size)
(eval "$("$top/ops/dev" env guest)"; ! sealgate sign --key dev-rsa2048 --file notice --out no.sig 2>/dev/null) || fail "the guest signed"
within 5 test "$(size)" -gt "$before" || fail "a denial leaves no record"
denied=$(post AuditService/ListLeaves '{"filter":{"event":"AUDIT_EVENT_DENIAL"}}')
[ "$(field leaves.0.content.reason <<<"$denied")" = KEY_NOT_FOUND ] || fail "the denial: $denied"
grep -q '/client/guest' <<<"$denied" || fail "the denial does not say who: $denied"
ok "a denial"

# What was signed is found by its digest, at once and from the index.
found=$(post AuditService/ListLeaves '{"filter":{"digest":"'$digest'"}}')
[ "$(field leaves.1.content.requestId <<<"$found")" = "$id" ] || fail "not found by its digest: $found"
page=$(post AuditService/ListLeaves '{"pageSize":2}')
token=$(field nextPageToken <<<"$page")
next=$(post AuditService/ListLeaves '{"pageSize":2,"pageToken":"'$token'"}')
[ "$(field leaves.0.leafIndex <<<"$next")" = 2 ] || fail "the second page begins elsewhere: $next"
wrong=$(post AuditService/ListLeaves '{"pageSize":2,"pageToken":"'$token'","filter":{"caller":"x"}}')
[ "$(field details.0.debug.reason <<<"$wrong")" = BAD_PAGE_TOKEN ] || fail "a token of another filter: $wrong"
ok "leaves are found"

# kill -9 under load: every signature that came back is in the log.
mkdir receipts
(for i in $(seq 1 30); do
    echo "doc $i" >"doc.$i"
    sealgate sign --key dev-p256 --file "doc.$i" --out "doc.$i.sig" --receipt "receipts/$i" --timeout 5 2>/dev/null || true
done) &
load=$!
for _ in 1 2; do
    sleep 1
    pkill -9 -f "^$SEALGATE_BUILD/bin/sealgated gateway --config $dir/" || true
done
wait "$load"
within 20 sealgate health >/dev/null 2>&1 || fail "it does not serve after it was killed"
find receipts -empty -delete
count=$(find receipts -type f | wc -l)
[ "$count" -gt 5 ] || fail "only $count of 30 were signed"
sealgate audit verify receipts/* --log-key "$key" >/dev/null || fail "a receipt is not proved"
! sealgate audit verify "$dir/store/store.db" --log-key "$key" 2>error || fail "a store is proved as a file"
grep -q 'sealgated verify' error || fail "nobody says what proves a store: $(cat error)"
for receipt in receipts/*; do
    leaf=$(sed -n 's/^index //p' "$receipt")
    now=$(post AuditService/GetReceipt '{"name":"audit/main/leaves/'"$leaf"'"}')
    [[ $now == *'"record":"'* ]] || fail "leaf $leaf of a receipt is not in the log: $now"
done
ok "kill -9: $count receipts, all of them in the log"

"$SEALGATE_BUILD/bin/sealgated" verify --config "$dir/sealgate.yaml" || fail "the log is not proved"

# A store that was put back to an earlier state signs nothing.
"$top/ops/dev" down >/dev/null 2>&1
cp -a "$dir/store" "$work/earlier"
"$top/ops/dev" up >/dev/null 2>&1
sealgate sign --key dev-p256 --file notice --out notice.sig
"$top/ops/dev" down >/dev/null 2>&1
cp -a "$dir/store" "$work/later"
rm -rf "$dir/store"
cp -a "$work/earlier" "$dir/store"
refused() { # WHAT REASON
    if timeout 20 "$SEALGATE_BUILD/bin/sealgated" gateway --config "$dir/sealgate.yaml" >refused.log 2>&1; then
        fail "$1: it starts"
    fi
    grep -q "reason=$2" refused.log || fail "$1: $(tail -n 1 refused.log)"
    ok "$1: $2"
}
refused "a store that was put back" STORE_ROLLED_BACK
rm -rf "$dir/store"
cp -a "$work/later" "$dir/store"
mv "$dir/audit/anchor" "$work/anchor"
refused "an anchor that is gone" STORE_ROLLED_BACK
mv "$work/anchor" "$dir/audit/anchor"

# Where the whole store is gone, no log is made that would promise a second history, and what remembers the first stays.
cp -a "$dir/audit" "$work/remembered"
not_made() { # WHAT TEXT
    if "$SEALGATE_BUILD/bin/sealgated" init --config "$dir/sealgate.yaml" --origin sealgate.example \
        --administrator "$dir/audit/first-administrator.pem" --administrator "$dir/audit/second-administrator.pem" >refused.log 2>&1; then
        fail "$1: a log is made"
    fi
    grep -q "$2" refused.log || fail "$1: $(tail -n 1 refused.log)"
    [ ! -e "$dir/store" ] || fail "$1: there is a store now"
    ok "$1: $(tail -n 1 refused.log)"
}
rm -rf "$dir/store"
not_made "a store that is gone" "its anchor remembers [0-9]* leaves"
refused "a start without the store" STORE_ROLLED_BACK
grep -q "the store is lost: its anchor remembers [0-9]* leaves of the log .*main.*: put a copy back" refused.log ||
    fail "a start without the store: $(tail -n 1 refused.log)"
if grep -q "sealgated init" refused.log; then fail "it is told to run init, which refuses"; fi
told() { # WHAT TEXT COMMAND...
    if "${@:3}" >refused.log 2>&1; then fail "$1: no error"; fi
    grep -q "$2" refused.log || fail "$1: $(tail -n 1 refused.log)"
    ok "$1: $(tail -n 1 refused.log)"
}
told "--check-config without the store" "the store is lost" "$SEALGATE_BUILD/bin/sealgated" --check-config --config "$dir/sealgate.yaml"
told "verify without the store" "the store is lost" "$SEALGATE_BUILD/bin/sealgated" verify --config "$dir/sealgate.yaml"
told "epoch without the store" "the store is lost" \
    "$SEALGATE_BUILD/bin/sealgated" epoch state --why "It is gone." --config "$dir/sealgate.yaml"
told "restore from where nothing is" "there is no store in \"$work/none\"" \
    "$SEALGATE_BUILD/bin/sealgated" restore --from "$work/none" --config "$dir/sealgate.yaml"
mv "$dir/audit/log.key" "$work/log.key"
refused "a start without the store and its key" STORE_ROLLED_BACK
grep -q "whose key is not there" refused.log || fail "a start without the key: $(tail -n 1 refused.log)"
not_made "a store and its key that are gone" "by a key that is not there"
[ ! -e "$dir/audit/log.key" ] || fail "there is another key now"
mv "$work/log.key" "$dir/audit/log.key"
diff -r "$work/remembered" "$dir/audit" || fail "what remembers the log was changed"

# Whatever is changed in the store is named by a proof of all of it; what the end of the log rests on, at
# the start too.
change() { # SQL
    rm -rf "$dir/store"
    cp -a "$work/later" "$dir/store"
    sqlite_do "$1"
}
sqlite_do() {
    python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
def flip(blob, at): b = bytearray(blob); b[at] ^= 1; return bytes(b)
db.create_function("flip", 2, flip)
db.execute(sys.argv[2])
db.commit()' "$dir/store/store.db" "$1"
}
unproved() { # WHAT TEXT
    if "$SEALGATE_BUILD/bin/sealgated" verify --config "$dir/sealgate.yaml" >refused.log 2>&1; then
        fail "$1: it is proved"
    fi
    grep -q "$2" refused.log || fail "$1: $(tail -n 1 refused.log)"
    ok "$1: $(tail -n 1 refused.log)"
}
last="(SELECT max(id) FROM leaves)"
nth="(SELECT min(id) + 3 FROM leaves)"
change "UPDATE leaves SET record = flip(record, 40) WHERE id = $last"
unproved "the last leaf, changed" .
refused "the last leaf, changed" STORE_BROKEN
change "UPDATE leaves SET record = flip(record, length(record) - 1) WHERE id = $nth"
unproved "an early leaf, changed" .
change "DELETE FROM leaves WHERE id = $nth"
unproved "a leaf, dropped" "there is no leaf 3"
change "DELETE FROM leaves WHERE id = $last"
unproved "the log, cut" "there is no leaf"
change "UPDATE leaves SET record = (SELECT record FROM leaves WHERE id = $nth + 1) WHERE id = $nth"
unproved "a leaf, replaced by another" .
change "UPDATE logs SET checkpoint = flip(checkpoint, length(checkpoint) - 9)"
unproved "the checkpoint, changed" "checkpoint"
refused "the checkpoint, changed" STORE_BROKEN
change "UPDATE logs SET size = size + 1"
unproved "a leaf too many" .
refused "a leaf too many" STORE_BROKEN
change "UPDATE logs SET size = size - 1"
refused "a leaf too few" STORE_BROKEN
