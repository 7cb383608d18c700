#!/usr/bin/env bash
# A new epoch of the audit log: after a store that was put back, and to replace the log's key. Who may
# accept one, who may not, and that each epoch proves itself afterwards.
. "$(dirname "$0")/../lib.sh"
own_instance epoch
cd "$work"
rm -rf "$work"/*
sealgated=$SEALGATE_BUILD/bin/sealgated
config=$dir/sealgate.yaml
old_key=$(cat "$dir/audit/log.vkey")
sign() { # NAME KEY
    echo "$1" >"$1"
    sealgate sign --key dev-p256 --file "$1" --out "$1.sig" --receipt "$1.receipt" --log-key "$2" "${@:3}"
}
post() { # METHOD JSON
    curl -s --max-time 20 --cacert "$SEALGATE_CA" --cert "$SEALGATE_CERT" --key "$SEALGATE_KEY" \
        -H 'content-type: application/json' "https://$SEALGATE_ENDPOINT/sealgate.v1.$1" -d "$2"
}
has() { grep -qF -- "$1" "$2" || { cat "$2"; fail "$2 does not say \"$1\""; }; }
approve() { # NAME OUT [STATEMENT]: as client NAME of the development CA
    sealgate audit approve "${3:-statement}" --cert "$dir/pki/$1.pem" --cert-key "$dir/pki/$1.key" --out "$2" 2>shown ||
        { cat shown; fail "$1 cannot approve"; }
}
accept() { "$top/ops/dev" with-token "$sealgated" epoch accept "$@"; } # its token certifies the new key
refused() { # TEXT APPROVAL APPROVAL
    if accept --config "$config" --statement statement --approval "$2" --approval "$3" >said 2>&1; then
        fail "accepted: $2 $3"
    fi
    has "$1" said
    ok "refused: $(tail -n 1 said)"
}

# A backup, more signatures, and the backup put back: two of them are lost.
sign before "$old_key"
$sealgated backup --config "$config" --to "$work/backup" >/dev/null
sign lost.1 "$old_key"
sign lost.2 "$old_key"
"$top/ops/dev" down >/dev/null 2>&1
rm -rf "$dir/store"
$sealgated restore --config "$config" --from "$work/backup" >/dev/null
if timeout 20 $sealgated gateway --config "$config" >refused.log 2>&1; then fail "it starts"; fi
has "reason=STORE_ROLLED_BACK" refused.log
ok "a store that was put back: STORE_ROLLED_BACK"

# It is stated, and shown to who approves.
! $sealgated epoch state --config "$config" >said 2>&1 || fail "without a reason"
$sealgated epoch state --config "$config" --why "The disk died; Sunday's backup was put back." >statement 2>said
cat statement
has "lost: 2 leaves" said
has "state behind" statement
has "log-key $old_key" statement
new_key=$(sed -n 's/^new-log-key //p' statement)
approve first-administrator first
has "2 leaves, from" shown
has "$new_key" shown
approve second-administrator second
# What openssl alone makes of the same is an approval too.
by_openssl() { # NAME OUT
    echo "sealgate.v1 approval/1"
    echo "signature $(openssl dgst -sha256 -sign "$dir/pki/$1.key" statement | base64 -w0)"
    cat "$dir/pki/$1.pem"
}
by_openssl second-administrator >second.openssl
ok "two administrators approve"

# One is not enough, and one person twice is one, by another certificate too; nobody else counts, nor
# whom a CRL names, nor another statement.
accept --config "$config" --statement statement --approval first >said 2>&1 && fail "one is enough"
has "by what?" said
refused "both approvals are of one administrator" first first
cp "$dir/pki/first-administrator.pem" kept.pem
cp "$dir/pki/first-administrator.key" kept.key
pki_client "$dir/pki" first-administrator
approve first-administrator renewed
refused "both approvals are of one administrator" first renewed
approve guest stranger
refused "none of the 2 administrators" first stranger
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.pem -subj /CN=x \
    -addext 'subjectAltName=URI:spiffe://dev.sealgate.local/client/second-administrator' \
    -addext extendedKeyUsage=clientAuth 2>/dev/null
sealgate audit approve statement --cert own.pem --cert-key own.key --out of-nobody 2>/dev/null
refused "configured client CA" first of-nobody
sed 's/^why .*/why Nothing happened at all./' statement >changed
approve second-administrator of-another changed
refused "did not sign this statement" first of-another
sed "s/^signature ./signature A/" second >damaged
refused "does not count" first damaged
! sealgate audit approve changed --cert kept.pem --cert-key own.key --out no 2>said || fail "with another's key"
cp "$dir/pki/ca.crl" "$work/ca.crl"
cp "$dir/pki/index.txt" "$work/index.txt"
pki_revoke "$dir/pki" second-administrator
refused "revoked" first second
cp "$work/index.txt" "$dir/pki/index.txt"
cp "$work/ca.crl" "$dir/pki/ca.crl"
if timeout 20 $sealgated gateway --config "$config" >refused.log 2>&1; then fail "it starts"; fi
has "reason=STORE_ROLLED_BACK" refused.log
ok "and it still signs nothing"

# Both: by the renewed certificate, whose key leaf 0 does not know, and by openssl.
accept --config "$config" --statement statement --approval renewed --approval second.openssl >said
cat said
has "its key, for those who verify: $new_key" said
accept --config "$config" --statement statement --approval renewed --approval second.openssl >said
has "has begun" said
ok "two accept, and accepting again changes nothing"
[ -f "$dir/audit/log.key.epoch-1" ] && [ -f "$dir/audit/anchor.epoch-1" ] || fail "the old key and anchor are gone"
[ ! -f "$dir/audit/log.key.epoch-2" ] && [ ! -f "$dir/audit/anchor.epoch-2" ] || fail "files of the new epoch are left"
$sealgated verify --config "$config" | tee said
has "proved: log main, 4 leaves, origin sealgate.example/main/2" said
has "origin sealgate.example/main/1, ended: behind" said
"$top/ops/dev" up >/dev/null 2>&1
sign after "$new_key"
ok "it signs again"

# Who believed the old key alone believes nothing of the new epoch.
if sign no "$old_key" 2>said; then fail "the old key vouches for the new epoch"; fi
has "epoch" said
if sealgate audit verify after.receipt --log-key "$old_key" >said 2>&1; then fail "the old key proves the new epoch"; fi
cat said
has "epoch" said
sealgate audit verify after.receipt before.receipt lost.1.receipt --log-key "$old_key" --log-key "$new_key" >/dev/null
ok "each epoch by its own key"

# The old epoch stays listable and provable; a name without an epoch is the newest.
post AuditService/GetReceipt '{"name":"audit/main/epochs/1/leaves/0"}' >said
has '"log":"audit/main/epochs/1"' said
post AuditService/GetReceipt '{"name":"audit/main/leaves/1"}' >said
has '"log":"audit/main/epochs/2"' said
post AuditService/ListLeaves '{"log":"audit/main/epochs/1","filter":{"event":"AUDIT_EVENT_SIGNATURE"}}' >said
has '"name":"audit/main/epochs/1/leaves/' said
post AuditService/ListLeaves '{"filter":{"event":"AUDIT_EVENT_EPOCH_APPROVED"}}' >said
has 'client/first-administrator' said
has 'client/second-administrator' said
has 'audit/main/epochs/2/leaves/3' said
post AuditService/GetConsistencyProof '{"log":"audit/main/epochs/1","oldSize":"1"}' >said
has "newSize" said
post AuditService/GetCheckpoint '{"log":"audit/main/epochs/3"}' >said
has LEAF_NOT_FOUND said
ok "both epochs answer"

# A planned rotation of the key, while the gateway runs: it may sign until the log ends, and then
# signs nothing more by the old key.
$sealgated epoch state --config "$config" --why "The key is a year old." >statement 2>said
has "state sound" statement
sign between "$new_key"
approve first-administrator first
approve second-administrator second
sealgate audit tail --lines 1 --follow --output json >followed 2>follow.err &
follower=$!
within 20 test -s followed || fail "the follower does not begin: $(cat follow.err)"
third_key=$(sed -n 's/^new-log-key //p' statement)
sealgate bench --key dev-p256 --concurrency 8 --duration 4 >bench.out 2>&1 &
load=$!
sleep 1
accept --config "$config" --statement statement --approval first --approval second >said
wait "$load" || true # its calls failed from then on
if sign no "$new_key" --timeout 5 2>said; then fail "the ended log takes signatures"; fi
has STORE_ROLLED_BACK said
"$top/ops/dev" down >/dev/null 2>&1
"$top/ops/dev" up >/dev/null 2>&1
sign rotated "$third_key"
# Who followed the log has seen each leaf of the one epoch and of the next, once and in order.
newest=$(sealgate audit tail --lines 1 --output json)
has_newest() { [ "$(tail -n 1 followed)" = "$newest" ]; }
within 60 has_newest || fail "followed up to $(tail -n 1 followed), not to $newest: $(cat follow.err)"
kill "$follower" || fail "the follower has ended: $(cat follow.err)"
wait "$follower" 2>/dev/null || true
/usr/bin/python3 - followed <<'END' || fail "followed: leaves doubled or missed: $(cat follow.err)"
import json, sys
names = [json.loads(line)["name"].split("/") for line in open(sys.argv[1])]
places = [(int(name[3]), int(name[5])) for name in names]
first = places[0][1]
ends = [max(index for epoch, index in places if epoch == wanted) + 1 for wanted in (2, 3)]
assert places[0][0] == 2 and ends[0] > first + 1, places[:3]
assert places == [(2, i) for i in range(first, ends[0])] + [(3, i) for i in range(ends[1])], places
END
has "goes on in a new epoch" follow.err
ok "and was followed: $(wc -l <followed) leaves of two epochs"
$sealgated verify --config "$config" | tee said
[ "$(grep -c ^proved: said)" = 3 ] || fail "not every epoch is proved"
ok "the key was rotated"

# A broken log is closed as it is, and the statement says so.
sealgate bench --key dev-p256 --requests 520 >/dev/null
"$top/ops/dev" down >/dev/null 2>&1
cp -a "$dir/store" "$work/whole"
drop() { # NUMBER: a leaf of the newest epoch
    python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
log = db.execute("SELECT max(id) FROM logs").fetchone()[0]
assert db.execute("DELETE FROM leaves WHERE id = ?", [(log << 40) + int(sys.argv[2])]).rowcount == 1
db.commit()' "$dir/store/store.db" "$1"
}
drop 515
if timeout 20 $sealgated gateway --config "$config" >refused.log 2>&1; then fail "it starts"; fi
has "reason=STORE_BROKEN" refused.log
! $sealgated epoch state --config "$config" --why "A leaf is gone." >statement 2>said || fail "who may accept is proved by nothing"
has "put a backup in its place" said
ok "a log whose end is gone: $(tail -n 1 said)"
rm -rf "$dir/store"
cp -a "$work/whole" "$dir/store"
drop 100
$sealgated epoch state --config "$config" --why "A leaf is gone." >statement 2>said
has "state broken" statement
has "found: log \"main\": there is no leaf 100" said
approve first-administrator first
approve second-administrator second
accept --config "$config" --statement statement --approval first --approval second >said
"$top/ops/dev" up >/dev/null 2>&1
sign mended "$(sed -n 's/^new-log-key //p' statement)"
$sealgated verify --config "$config" | tee said
has "not proved, as was accepted: log main, epoch 3: log \"main\": there is no leaf 100" said
[ "$(grep -c ^proved: said)" = 3 ] || fail "not every other epoch is proved"
ok "a broken log was closed, and another goes on"

# Other administrators, whom the old ones name: from then on they and nobody else.
"$top/ops/dev" down >/dev/null 2>&1
pki_client "$dir/pki" third-administrator
pki_client "$dir/pki" fourth-administrator
third=$dir/pki/third-administrator.pem fourth=$dir/pki/fourth-administrator.pem
# The fourth by the key alone, as a certificate of another CA or a public key is.
openssl x509 -in "$fourth" -pubkey -noout >fourth.pub
not_stated() { # TEXT OPTION...
    if $sealgated epoch state --config "$config" --why "People change." "${@:2}" >statement 2>said; then fail "stated: ${*:2}"; fi
    has "$1" said
    ok "not stated: $(tail -n 1 said)"
}
not_stated "two different administrators" --administrator "$third"
not_stated "two different administrators" --administrator "$third" --administrator "$third"
not_stated "none.pem" --administrator "$third" --administrator none.pem
not_stated "administrator 2: " --administrator "$third" --administrator "$config"
$sealgated epoch state --config "$config" --why "People change." --administrator "$third" --administrator fourth.pub >statement 2>said
has "from then on the administrators are these, and no others:" said
cat statement
[ "$(grep -c '^administrator: sha256:[0-9a-f]\{64\}' statement)" = 2 ] || fail "the statement does not name them"
has "ca:dev-ca uri:spiffe://dev.sealgate.local/client/third-administrator" statement
for name in first second third fourth; do approve $name-administrator $name; done
has "no others" shown
refused "none of the 2 administrators" third fourth
refused "none of the 2 administrators" first third
sed '/third-administrator/d' statement >changed
! sealgate audit approve changed --cert "$dir/pki/first-administrator.pem" --cert-key "$dir/pki/first-administrator.key" --out no 2>said ||
    fail "one administrator is approved"
accept --config "$config" --statement statement --approval first --approval second >said
"$top/ops/dev" up >/dev/null 2>&1
post AuditService/GetReceipt '{"name":"audit/main/leaves/0"}' | python3 -c 'import base64, json, sys
sys.stdout.buffer.write(base64.b64decode(json.load(sys.stdin)["record"]))' >leaf0
grep -a '^administrator: ' leaf0 | cmp - <(grep '^administrator: ' statement) || fail "leaf 0 names others: $(strings leaf0)"
"$top/ops/dev" down >/dev/null 2>&1
$sealgated epoch state --config "$config" --why "Once more." >statement 2>said
! grep -q '^administrator: ' statement || fail "they are named though they stay"
for name in first second third fourth; do approve $name-administrator $name; done
refused "none of the 2 administrators" first second
refused "none of the 2 administrators" third second
accept --config "$config" --statement statement --approval third --approval fourth >said
"$top/ops/dev" up >/dev/null 2>&1
sign handed-over "$(sed -n 's/^new-log-key //p' statement)"
$sealgated verify --config "$config" | tee said
[ "$(grep -c ^proved: said)" = 5 ] || fail "not every epoch is proved"
ok "the log was handed over to other administrators"
