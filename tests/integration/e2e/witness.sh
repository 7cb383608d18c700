#!/usr/bin/env bash
# One sealgated witnesses another's audit log: what is cosigned, and what is found out that the anchor alone would not.
# Beside a PostgreSQL (witness_pg.sh) the log is there, and is put back from a dump.
. "$(dirname "$0")/../lib.sh"
if [ -n "${SG_TEST_PG:-}" ]; then
    export SEALGATE_DEV_STORE="postgresql://sealgate@/postgres?host=$SG_TEST_PG"
    own_instance witness_pg
    pg_tools=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
else
    own_instance witness
fi
cd "$work"
rm -rf "$work"/*
bin=$SEALGATE_BUILD/bin
origin=$(sed -n 's/.*, origin //p' "$dir/audit/init.txt")
wport=$(free_port)
witness_pid=
post() { # METHOD JSON: by Connect, as the developer
    curl -s --max-time 20 --cacert "$SEALGATE_CA" --cert "$SEALGATE_CERT" --key "$SEALGATE_KEY" \
        -H 'content-type: application/json' "https://$SEALGATE_ENDPOINT/sealgate.v1.$1" -d "$2"
}
field() { python3 -c 'import json, sys; print(json.load(sys.stdin).get(sys.argv[1], ""))' "$1"; }
size() { post AuditService/GetCheckpoint '{}' | field size; }
checkpoint() { post AuditService/GetCheckpoint '{}' | field checkpoint | base64 -d; }
is_cosigned() { checkpoint | grep -q '^— witness.example/w1 '; }
sign() { echo "$1" >notice && sealgate sign --key dev-p256 --file notice --out notice.sig; }
metric() { curl -s --max-time 5 "http://$(sed -n 's/^metrics_listen: //p' "$dir/sealgate.yaml")/metrics" | grep -F "$1" | cut -d' ' -f2; }

mkdir -p witness
cat >witness/witness.yaml <<END
tls_certificate_file: $dir/pki/server.pem
tls_key_file: $dir/pki/server.key
witness_listen: 127.0.0.1:$wport
witness_folder: state
witnessed_logs:
  - name: first
    origin: $origin
    keys: ["$(cat "$dir/audit/log.vkey")"]
END
"$bin/sealgated" init witness --config witness/witness.yaml --origin witness.example/w1 >witness/init
vkey=$(sed -n 's/^its public key.*: //p' witness/init)
start_witness() {
    "$bin/sealgated" witness --config "$work/witness/witness.yaml" 2>>"$work/witness/log" &
    witness_pid=$!
    within 10 port_taken "$wport" || fail "the witness does not start: $(tail -n 1 witness/log)"
}
kill_witness() {
    kill -9 "$witness_pid" 2>/dev/null || true
    wait "$witness_pid" 2>/dev/null || true
}
end() {
    local rc=$?
    kill_witness
    ! grep -E 'ERROR: |WARNING: ThreadSanitizer|runtime error' "$work/witness/log" >&2 || rc=1
    instance_end "$rc"
}
trap end EXIT
down() { "$top/ops/dev" down >/dev/null 2>&1; }
up() { "$top/ops/dev" up >/dev/null 2>&1 || fail "the gateway does not start: $(tail -n 3 "$dir/log")"; }
export SEALGATE_DEV_OPTIONS="
witnesses_interval_s: 1
witnesses:
  - name: neighbour
    url: https://localhost:$wport
    key: $vkey
    ca_file: pki/ca.pem
"

start_witness
down
up
sign one
within 10 is_cosigned || fail "no cosignature: $(checkpoint)"
[ "$(metric 'sealgate_witness_state{witness="neighbour",state="current"}')" = 1 ] || fail "the metric says otherwise"
[ "$(metric 'sealgate_witness_size{witness="neighbour"}')" = "$(size)" ] || fail "the metric has another size"
grep -q '^— witness.example/w1 ' "$dir/audit/anchor.cosigned" || fail "what was cosigned is not kept"
ok "a signature is cosigned by another sealgated"

# What a witness has cosigned is worth more to whoever asks for it: receipts that are fetched have it.
post AuditService/GetReceipt '{"name":"audit/main/leaves/0"}' | python3 -c 'import base64, json, sys
r = json.load(sys.stdin)
sys.stdout.write("c2sp.org/tlog-proof@v1\nextra %s\nindex %s\n" % (r["record"], r.get("leafIndex", 0)))
for h in r.get("inclusionProof", []): print(h)
sys.stdout.write("\n" + base64.b64decode(r["checkpoint"]).decode())' >zero.receipt
verify() { sealgate audit verify zero.receipt --log-key "$(cat "$dir/audit/log.vkey")" "$@"; }
other=witness.example/w1+0ad7d35e+BIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c
verify --witness-key "$vkey" | grep -q ': proved: leaf 0 ' || fail "a receipt that is cosigned is not proved: $(cat zero.receipt)"
! verify --witness-key "$vkey" --witness-key "$other" >out || fail "a witness that did not sign does not matter"
grep -q '1 of the witnesses have cosigned it, and not 2' out || fail "$(cat out)"
verify --witness-key "$vkey" --witness-key "$other" --witnesses 1 >/dev/null || fail "one of two is not enough"
sed '/^— witness/d' zero.receipt >bare.receipt
! sealgate audit verify bare.receipt --log-key "$vkey" >/dev/null 2>&1 || fail "a witness's key is taken for the log's"
! sealgate audit verify bare.receipt --log-key "$(cat "$dir/audit/log.vkey")" --witness-key "$vkey" >/dev/null || fail "a receipt without the witness is proved"
ok "who asks for a witness's signature gets it judged"

# A witness that is away holds nothing up; killed at any time it goes on from where it was.
kill_witness
sign two
ok "signing goes on without the witness"
(for i in $(seq 20); do sign "load $i" || echo failed >>failed; done) &
load=$!
for _ in $(seq 5); do
    start_witness
    sleep 0.7
    kill_witness
done
wait "$load"
[ ! -e failed ] || fail "signatures failed while the witness was killed"
start_witness
within 60 is_cosigned || fail "no cosignature after kill -9: $(tail -n 2 witness/log)"
! grep -q -e log_forked -e witness.failed witness/log || fail "the witness forgot: $(grep -e forked -e failed witness/log)"
ok "kill -9 of the witness, five times under load"

# The store and its anchor, both put back: the witness alone knows.
keep() { # NAME
    cp -a "$dir/audit" "$work/$1-audit"
    if [ -z "${SG_TEST_PG:-}" ]; then
        cp -a "$dir/store" "$work/$1"
    else
        "$pg_tools/pg_dump" -h "$SG_TEST_PG" -U sealgate -Fc -f "$work/$1" postgres
    fi
}
put_back() { # NAME
    rm -rf "$dir/audit"
    cp -a "$work/$1-audit" "$dir/audit"
    if [ -z "${SG_TEST_PG:-}" ]; then
        rm -rf "$dir/store"
        cp -a "$work/$1" "$dir/store"
    else
        "$pg_tools/pg_restore" -h "$SG_TEST_PG" -U sealgate -d postgres --clean --if-exists "$work/$1"
    fi
}
down
keep earlier
up
sign three
sign four
within 10 is_cosigned || fail "no cosignature"
refused() { # WHAT TEXT
    if timeout 20 "$bin/sealgated" gateway --config "$dir/sealgate.yaml" >refused.log 2>&1; then
        fail "$1: it starts"
    fi
    grep -q "$2" refused.log || fail "$1: $(tail -n 1 refused.log)"
    ok "$1: refused"
}
down
keep later
put_back earlier
refused "a store that was put back with its anchor" reason=STORE_ROLLED_BACK

# With the witness away it starts, and is found out when that is back: by its size, and by another tree of one size.
kill_witness
up
grep -q 'audit.witness .*state=away' "$dir/log" || fail "it does not say that the witness is away"
start_witness
within 60 grep -q audit.witness_denies "$dir/log" || fail "a log that was put back is not told while it runs"
[ "$(metric 'sealgate_witness_state{witness="neighbour",state="denies"}')" = 1 ] || fail "the metric does not say that the witness denies"
kill_witness
sign "three, another"
sign "four, another"
sign "five, another"
down
start_witness
refused "a log that forked" reason=STORE_ROLLED_BACK
grep -q 'witness.refused status=422\|witness.log_forked' witness/log || fail "the witness does not tell of the fork"

# The right one again; and what witnesses_required asks for.
down
put_back later
up
sign five
within 10 is_cosigned || fail "the right log is not cosigned any more"
ok "the right store goes on"
down
kill_witness
sed -i 's/^witnesses_interval_s:.*/&\nwitnesses_required: true/' "$dir/sealgate.yaml"
refused "witnesses_required, and the witness is away" "has not cosigned the log"
