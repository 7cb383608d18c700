#!/usr/bin/env bash
# Old leaves leave the store while the gateway signs: where they are then, what is said of them, and what is said of leaves that
# were only taken away. Beside a PostgreSQL (archive_pg.sh) the store is there.
. "$(dirname "$0")/../lib.sh"
export SEALGATE_DEV_OPTIONS="request_id_retention_s: 60"
if [ -n "${SG_TEST_PG:-}" ]; then
    export SEALGATE_DEV_STORE="postgresql://sealgate@/postgres?host=$SG_TEST_PG"
    own_instance archive_pg
    psql=$(ls -d /usr/lib/postgresql/*/bin/psql | sort -V | tail -n 1)
else
    own_instance archive
fi
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
# By somebody who can write the store, and has no key.
by_hand() { # SQL
    if [ -n "${SG_TEST_PG:-}" ]; then
        "$psql" -q -h "$SG_TEST_PG" -U sealgate -d postgres -v ON_ERROR_STOP=1 -c "SET search_path = sealgate; $1"
    else
        python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])' "$dir/store/store.db" "$1"
    fi
}
# ends STATUS TEXT COMMAND...: it says so, and has that status.
ends() {
    local status=$1 text=$2 rc=0
    shift 2
    "$@" >said 2>&1 || rc=$?
    has "$text" said
    [ "$rc" = "$status" ] || { cat said; fail "$* has status $rc, not $status"; }
}
verify() { $sealgated verify --config "$config" "$@"; }
down() { "$top/ops/dev" down >/dev/null 2>&1; }
up() { "$top/ops/dev" up >/dev/null 2>&1; }
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

down
ends 0 "proved: log main" verify
leaf=$((1 << 40))
by_hand "CREATE TABLE kept AS SELECT * FROM leaves WHERE id < $leaf + 100;
    UPDATE logs SET first = 100; DELETE FROM leaves WHERE id < $leaf + 100;"
ends 1 "leaves before 100 are not in the store, and it does not prove that they were archived" verify
ends 1 "before 100 are not in the store" verify --archive "$work/archive"
ends 1 "before 100 are not in the store" verify --without-archive
ends 1 "before 100 are not in the store" timeout 60 $sealgated gateway --config "$config"
ends 1 "before 100 are not in the store" $sealgated archive --config "$config" --to "$work/archive"
epoch_state() { $sealgated epoch state --why "Leaves are gone." --config "$config"; }
ends 1 "so broken that its leaf 0" epoch_state
by_hand "INSERT INTO leaves SELECT * FROM kept WHERE id < $leaf + 8"
ends 1 "before 100 are not in the store" verify
ends 0 "is broken" epoch_state
by_hand "UPDATE logs SET first = 0; INSERT INTO leaves SELECT * FROM kept WHERE id >= $leaf + 8; DROP TABLE kept;"
ends 0 "proved: log main" verify
up
ok "leaves that were taken away are in no archive"

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

ends 3 "not looked at: leaves 8 to $end" verify
has "proved in part: log main" said
has "--archive FOLDER" said
ends 0 "not looked at: leaves 8 to $end" verify --without-archive
ends 0 "proved: log main" verify --archive "$work/archive"
ends 0 "its key is certified by the key that was given" verify --archive "$work/archive" \
    --certified-by "$dir/audit/log-certifier.pem" # leaf 0 never leaves the store
has "$(ls archive/*.export | wc -l) files of its archive, with leaves 0 to $end" said
! grep -q "not looked at" said || fail "what was not looked at"
mkdir other
mv archive/main-1-000000000256-*.export other
ends 1 "leaves 256 to" verify --archive "$work/archive"
ends 0 "proved: log main" verify --archive "$work/archive" --archive "$work/other"
cp other/*.export archive
sed -i '0,/dev-p256/s//dev-p257/' archive/main-1-000000000256-*.export
ends 1 "is not proved: leaf" verify --archive "$work/archive"
mv other/*.export archive
ends 2 "go with verify" $sealgated migrate --config "$config" --archive "$work/archive"
ends 2 "with --archive or --without-archive" verify --archive "$work/archive" --without-archive
sealgate audit find --event leaves-archived >said
has "leaves-archived" said
[ "$(wc -l <said)" = "$(ls archive/*.export | wc -l)" ] || { cat said; fail "the log does not say of each file"; }
ok "the files and the store prove the log from leaf 0 on, and nobody is told so without the files"

down
up
post SigningService/Sign "$request" >said
has REQUEST_ID_EXPIRED said
echo after >after
sealgate sign --key dev-p256 --file after --out after.sig --receipt after.receipt --log-key "$key"
sealgate audit verify after.receipt --log-key "$key" >/dev/null
ok "it starts and signs without them"

down
by_hand "UPDATE logs SET first = $end + 101; DELETE FROM leaves WHERE id > $leaf + $end AND id < $leaf + $end + 101;"
ends 1 "those before $((end + 1)) alone that they were archived" verify --archive "$work/archive"
ends 1 "those before $((end + 1)) alone that they were archived" timeout 60 $sealgated gateway --config "$config"
by_hand "UPDATE logs SET first = $end + 1;"
ends 1 "there is no leaf $((end + 1))" verify --archive "$work/archive"
ok "more than the log says is in no archive"
