#!/usr/bin/env bash
# The audit log as an auditor asks for it: records found by all that is known of them, shown with
# their proof, listed page by page, followed while gateways come and go, and exported.
. "$(dirname "$0")/../lib.sh"
own_instance auditor
cd "$work"
rm -rf "${work:?}"/*
key=$(cat "$dir/audit/log.vkey")
export SEALGATE_LOG_KEY=$key
json() { python3 -c 'import json, sys
for line in sys.stdin: print(json.loads(line)[sys.argv[1]])' "$1"; }

# finds INDEX ARGUMENT...: that record alone is found, for people and in JSON.
finds() {
    local index=$1
    shift
    sealgate audit find "$@" >found || fail "find $*: exit code $?"
    [ "$(wc -l <found)" = 1 ] || fail "find $*: $(cat found)"
    grep -q "^$index  " found || fail "find $*: another leaf: $(cat found)"
    [ "$(sealgate audit find "$@" --output json | json leaf_index)" = "$index" ] || fail "find $* in JSON"
}
# ends CODE COMMAND...
ends() {
    local code=0 expected=$1
    shift
    "$@" >said 2>&1 || code=$?
    [ $code = "$expected" ] || fail "$*: exit code $code and not $expected: $(cat said)"
}

sealgate audit checkpoint --out kept >said
grep -q "signed by the log$" said || fail "the checkpoint: $(cat said)"

# What is in the log by now, and then: a signature of a file, one of another key, a denial.
began=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
for i in 1 2 3; do echo "notice $i" >"notice.$i"; done
sealgate sign --key dev-p256 --file notice.1 --out sig.1 --receipt receipt.1
leaf=$(sed -n 's/^index //p' receipt.1)
between=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
sealgate sign --key dev-ed25519 --file notice.2 --message --out sig.2 --receipt receipt.2
sealgate sign --key dev-rsa2048 --file notice.3 --hash sha384 --out sig.3 --receipt receipt.3
id=$(sealgate audit show "$(sed -n 's/^index //p' receipt.3)" --output json | json request_id)
(eval "$("$top/ops/dev" env guest)"; ! sealgate sign --key dev-rsa2048 --file notice.1 --out no.sig 2>/dev/null) ||
    fail "the guest signed"
denied() { sealgate audit find --event denial --output json >denials; }
within 10 denied || fail "the denial is not found"

finds "$leaf" --file notice.1
finds "$leaf" --digest "$(sha256sum notice.1 | cut -d' ' -f1)"
finds "$leaf" --signature sig.1
finds "$((leaf + 1))" --file notice.2
finds "$((leaf + 2))" --file notice.3 --hash sha384
finds "$((leaf + 2))" --request-id "$id"
finds "$((leaf + 1))" --key dev-ed25519
finds "$((leaf + 1))" --key keys/dev-ed25519/versions/1 --since "$between"
finds "$leaf" --event signature --since "$began" --until "$between"
[ "$(json reason <denials)" = KEY_NOT_FOUND ] || fail "the denial: $(cat denials)"
[ "$(sealgate audit find --caller "$(json caller <denials)" --output json | json event)" = denial ] ||
    fail "the denial is not found by its caller"
ok "records are found by what is known of them"

# By a certificate of the key, in both its forms.
sealgate keys csr dev-p256 --subject CN=auditor --out key.csr >/dev/null
openssl x509 -req -in key.csr -CA "$dir/pki/ca.pem" -CAkey "$dir/pki/ca.key" -set_serial 7 -days 1 -out key.crt 2>/dev/null
openssl x509 -in key.crt -outform DER -out key.der
sealgate audit find --certificate key.crt --event signature >found || fail "not found by its certificate"
grep -q "^$leaf  .* by keys/dev-p256/versions/1 " found || fail "by its certificate: $(cat found)"
! grep -v "by keys/dev-p256/" found || fail "found by another key's certificate"
cmp -s found <(sealgate audit find --certificate key.der --event signature) || fail "DER and PEM differ"
ok "and by a certificate"

# That there is none is an answer of its own.
echo "never signed" >never
ends 1 sealgate audit find --file never
grep -q "no such record" said || fail "it does not say that there is none: $(cat said)"
ends 1 sealgate audit find --file notice.1 --key dev-rsa2048
ends 1 sealgate audit find --number 12/TB-CCT --output json
[ ! -s said ] || fail "something in JSON where nothing was found: $(cat said)"
ends 2 sealgate audit find
ends 2 sealgate audit find --file never --digest 00
ends 2 sealgate audit find --since yesterday
ends 2 sealgate audit find --event nothing
ends 9 sealgate audit find --certificate notice.1
ends 5 sealgate audit find --file never --log nowhere
ok "nothing found"

# A record with its proof, by its number and by its name, and the receipt that is kept of it.
sealgate audit show "$leaf" --receipt shown.receipt >shown
grep -q "^signature *[0-9a-f]" shown || fail "show: $(cat shown)"
grep -q "^proved .*signed by the log" shown || fail "show does not say that it is proved: $(cat shown)"
sealgate audit verify shown.receipt >/dev/null || fail "the receipt of show is not proved"
/usr/bin/python3 "$top/tests/interop/audit/verify.py" "$key" shown.receipt >/dev/null || fail "verify.py refuses it"
sealgate audit show "audit/main/leaves/$leaf" | cmp -s - shown || fail "another record by its name"
[ "$(sealgate audit show "$leaf" --log main --output json | json signed_by_log)" = True ] || fail "show in JSON"
(unset SEALGATE_LOG_KEY; sealgate audit show "$leaf" | grep -q "signed by anybody") || fail "a key that was not given"
ends 5 sealgate audit show 99999999
ends 6 sealgate audit show keys/x
stranger=sealgate.example/log-1+c3c57014+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c
ends 10 sealgate audit show "$leaf" --log-key "$stranger"
grep -q CHECKPOINT_WRONG said || fail "another log's key: $(cat said)"
ok "a record with its proof"

# A log of many pages.
sealgate bench --key dev-p256 --requests 700 --concurrency 32 >/dev/null
size() { sealgate audit tail --lines 1 --output json | json leaf_index; }
last=$(size)
[ "$(sealgate audit find --event signature --key dev-p256 | wc -l)" -ge 701 ] || fail "pages are not followed"
sealgate audit tail --lines 650 --output json | json leaf_index >tail
[ "$(wc -l <tail)" = 650 ] || fail "tail: $(wc -l <tail) lines"
cmp -s tail <(seq $((last - 649)) "$last") || fail "tail is not the end of the log: $(head -n 1 tail) to $(tail -n 1 tail)"
[ "$(sealgate audit tail | wc -l)" = 10 ] || fail "tail without a number"
[ "$(sealgate audit tail --lines 99999 | wc -l)" = $((last + 1)) ] || fail "tail of all"
[ -z "$(sealgate audit tail --lines 0)" ] || fail "tail of nothing"
ok "pages"

# Following: each record once, while the gateway is killed and comes back.
first=$last
sealgate audit tail --lines 1 --follow --output json >followed 2>follow.err &
follower=$!
within 30 test -s followed || fail "the follower does not begin: $(cat follow.err)"
for round in 1 2; do
    sealgate bench --key dev-p256 --requests 40 --concurrency 4 >/dev/null 2>&1 || true
    pkill -9 -f "^$SEALGATE_BUILD/bin/sealgated gateway --config $dir/" || fail "there was no gateway to kill"
    within 30 sealgate health >/dev/null 2>&1 || fail "the gateway did not come back"
done
read -r launcher _ <"$dir/run/pid"
kill -USR2 "$launcher" # another takes its place while it signs
sealgate bench --key dev-p256 --requests 40 --concurrency 4 >/dev/null
taken_over() { grep -q event=launcher.takeover_done "$dir/log"; }
within 30 taken_over || fail "no gateway took over"
sealgate bench --key dev-p256 --requests 10 >/dev/null
last=$(size)
all_came() { [ "$(tail -n 1 followed | json leaf_index 2>/dev/null)" = "$last" ]; }
within 60 all_came || fail "followed up to $(tail -n 1 followed), not to leaf $last: $(cat follow.err)"
kill -0 "$follower" || fail "the follower has ended: $(cat follow.err)"
kill "$follower"
wait "$follower" 2>/dev/null || true
cmp -s <(json leaf_index <followed) <(seq "$first" "$last") || fail "followed: leaves doubled or missed"
[ "$(grep -c "event=launcher.ended role=gateway .*signal=9" "$dir/log")" -ge 2 ] || fail "the gateway was not killed twice"
ends 3 sealgate audit tail --follow --endpoint 127.0.0.1:1
ok "followed from leaf $first to $last, over two gateways that were killed and one that was replaced"

# Exports: of all, from any leaf on, proved by us and by a program that knows only the format.
exported() { # FIRST END
    sealgate audit export --first "$1" --end "$2" --out "$1-$2.export" >said || fail "export $1 $2: $(cat said)"
    grep -q "proved: $(($2 - $1)) leaves from $1 on" said || fail "export $1 $2: $(cat said)"
}
end=$((last + 1))
for range in "0 $end" "1 $end" "3 9" "256 513" "$last $end"; do exported $range; done
sealgate audit verify ./*.export >said || fail "exports: $(cat said)"
[ "$(grep -c ': proved: ' said)" = 5 ] || fail "exports: $(cat said)"
/usr/bin/python3 "$top/tests/interop/audit/verify.py" "$key" ./*.export >/dev/null || fail "verify.py refuses exports"
sealgate audit export --first 3 --end 9 --out - 2>/dev/null >piped
cmp <(tail -n 1 3-9.export | tail -c 100) <(tail -n 1 piped | tail -c 100) || fail "another export on standard output"
sealgate audit verify piped >/dev/null || fail "an export on standard output is not proved"
python3 -c 'import sys
data = bytearray(open("0-" + sys.argv[1] + ".export", "rb").read())
at = data.index((7).to_bytes(8, "big")) + 40
data[at] ^= 1
open("flipped", "wb").write(data)' "$end"
ends 1 sealgate audit verify flipped
grep -q "NOT proved: leaf 7: " said || fail "a flipped byte: $(cat said)"
ends 2 sealgate audit export
ends 2 sealgate audit export --out x --first "$end" --end "$end"
ends 2 sealgate audit export --out x --end 99999999
ends 10 sealgate audit export --out x --log-key "$stranger"
ends 9 sealgate audit export --out "$work/no/such/folder"
[ ! -e x ] && [ -z "$(ls ./*.tmp 2>/dev/null)" ] || fail "what failed left a file: $(ls)"
ok "exports"

# What was kept is held against what there is now, with the gateway and without.
sealgate audit checkpoint --since kept --out newest --growth kept.growth >said || fail "growth: $(cat said)"
grep -q "only grew since" said || fail "growth is not said to be proved: $(cat said)"
/usr/bin/python3 "$top/tests/interop/audit/verify.py" "$key" --since kept kept.growth >/dev/null || fail "verify.py refuses the growth"
sealgate audit checkpoint --since receipt.1 --growth receipt.growth >/dev/null || fail "growth from a receipt"
ends 1 sealgate audit verify receipt.1 --since kept
grep -q "NOT proved: nothing shows" said || fail "a receipt, without a proof of growth: $(cat said)"
sealgate audit verify receipt.1 newest "0-$end.export" --since kept --growth receipt.growth --growth kept.growth >said ||
    fail "held against what was kept: $(cat said)"
[ "$(grep -c ': proved: ' said)" = 3 ] || fail "held against what was kept: $(cat said)"
sed 's/^sealgate.example.*/another.example\/log/' kept >renamed
ends 1 sealgate audit verify newest --since renamed --any-log
grep -q "not of the log" said || fail "another log: $(cat said)"
ends 1 sealgate audit checkpoint --since renamed
ends 2 sealgate audit verify newest --growth kept.growth
ends 2 sealgate audit checkpoint --growth x
ok "a log that only grew"
