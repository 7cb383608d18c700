#!/usr/bin/env bash
# The audit log's key, certified by a key in the token: who believes that key needs nobody's word for the log's; what is
# not certified by it is refused; and where the token cannot certify, no log and no epoch begins.
. "$(dirname "$0")/../lib.sh"
own_instance certified
cd "$work"
rm -rf "${work:?}"/*
sealgated=$SEALGATE_BUILD/bin/sealgated
config=$dir/sealgate.yaml
key=$(cat "$dir/audit/log.vkey")
certifier=$dir/audit/log-certifier.pem
unset SEALGATE_LOG_KEY
has() { grep -qF -- "$1" "$2" || { cat "$2"; fail "$2 does not say \"$1\""; }; }
# ends CODE COMMAND...
ends() {
    local code=0 expected=$1
    shift
    "$@" >said 2>&1 || code=$?
    [ $code = "$expected" ] || fail "$*: exit code $code and not $expected: $(cat said)"
}

has "BEGIN PUBLIC KEY" "$certifier"
has "its key is certified by a key on token \"softhsm\", sha256:" "$dir/audit/init.txt"
for i in 1 2 3; do
    echo "notice $i" >"notice.$i"
    sealgate sign --key dev-p256 --file "notice.$i" --out "sig.$i" --receipt "receipt.$i"
done
sealgate audit show 0 --receipt first --log-key "$key" >said
has "certified by: " said
sealgate audit export --out whole --log-key "$key" >/dev/null
sealgate audit export --first 1 --out rest --log-key "$key" >/dev/null
sealgate audit checkpoint --out kept --log-key "$key" >/dev/null

# By the token's key alone, or by a certificate of it: no key of the log is given.
openssl x509 -new -subj /CN=log-certifier -force_pubkey "$certifier" -CA "$dir/pki/ca.pem" -CAkey "$dir/pki/ca.key" \
    -days 1 -out certifier.crt 2>/dev/null
openssl pkey -pubin -in "$certifier" -outform DER -out certifier.der
for by in "$certifier" certifier.crt certifier.der; do
    ends 0 sealgate audit verify first receipt.1 receipt.2 rest kept --certified-by "$by"
    [ "$(grep -c ': proved, by a key that is certified' said)" = 5 ] || fail "not all is proved: $(cat said)"
    ends 0 sealgate audit verify receipt.3 whole --certified-by "$by"
done
ends 0 sealgate audit verify first receipt.1 --certified-by "$certifier" --log-key "$key"
ends 0 sealgate audit verify first whole --certified-by "$certifier" --since kept
ends 0 sealgate audit verify first --certified-by "$certifier" --output json
has '"log_key_certified":true' said
$sealgated verify --config "$config" --certified-by certifier.crt >said
has "its key is certified by the key that was given" said
ok "receipts, exports, checkpoints and the store, by the key in the token"

# Without any program of ours, as docs/audit.md has it.
sed -n '/^<!-- certified by hand -->$/,/^```$/p' "$top/docs/audit.md" | sed -n '/^```text$/,/^```$/p' | grep -v '^```' >by-hand
[ "$(wc -l <by-hand)" -gt 5 ] || fail "docs/audit.md has no such block"
mkdir hand
(cd hand && cp ../first . && cp "$certifier" certifier.pem && bash -e ../by-hand) >said 2>&1 ||
    { cat said; fail "the commands of docs/audit.md"; }
cat said
grep -q '^Verified OK$' said || fail "openssl verifies something else: $(cat said)"
sed -i 's/^log-key .*/log-key x/' hand/text
! openssl dgst -sha256 -verify "$certifier" -signature hand/signature hand/text >/dev/null 2>&1 || fail "any text will do"
ok "and by openssl alone"

# And by the verifier that was written from that page.
verify=$top/tests/interop/audit/verify.py
/usr/bin/python3 "$verify" --certified-by "$certifier" first receipt.1 whole >said || { cat said; fail "verify.py"; }
[ "$(grep -c ': proved' said)" = 3 ] || fail "verify.py: $(cat said)"
openssl ecparam -name prime256v1 -genkey -noout -out other.key
openssl pkey -in other.key -pubout -out other.pem
! /usr/bin/python3 "$verify" --certified-by other.pem first receipt.1 >said 2>&1 || fail "verify.py takes another key"
ok "and by a verifier that is not ours"

# What is not certified by it.
refused() { # TEXT FILE...: with the options behind them
    ends 1 sealgate audit verify "${@:2}"
    has LOG_KEY_NOT_CERTIFIED said
    has "$1" said
    ok "refused: $(grep -m1 LOG_KEY_NOT_CERTIFIED said)"
}
refused "another key than the one that was given" first --certified-by other.pem
refused "another key than the one that was given" whole --certified-by other.pem
refused "another key than the one that was given" receipt.1 first --certified-by other.pem --log-key "$key"
refused "give the receipt of leaf 0 too" receipt.1 --certified-by "$certifier"
refused "give the receipt of leaf 0 too" receipt.1 --certified-by "$certifier" --log-key "$key"
refused "give the receipt of leaf 0 too" rest --certified-by "$certifier"
refused "give the receipt of leaf 0 too" kept --certified-by "$certifier"
ends 1 sealgate audit verify receipt.1 --certified-by "$certifier" --output json
has '"reason":"LOG_KEY_NOT_CERTIFIED"' said
has '"log_key_certified":false' said
ends 2 sealgate audit verify first --certified-by "$certifier" --any-log
ends 2 sealgate audit verify first --certified-by notice.1
ends 9 sealgate audit verify first --certified-by none
if $sealgated verify --config "$config" --certified-by other.pem >said 2>&1; then fail "the store, by another key"; fi
has "another key than the one that was given" said
ok "refused: $(tail -n 1 said)"
if $sealgated verify --config "$config" --certified-by notice.1 >said 2>&1; then fail "the store, by no key"; fi
has "neither a certificate nor a public key" said

# Another log, by a key that is not certified: neither its own leaf 0 speaks for it, nor that of the first.
cat >shared <<END
$(sed '/^store:/d; /^audit_key_file:/d; /^audit_anchor_file:/d; /^drained_file:/d; s#: pki/#: ../pki/#; s#: token/#: ../token/#; s#: run/#: ../run/#' "$config")
store: sqlite:other/store
audit_key_file: other/log.key
audit_anchor_file: other/anchor
drained_file: other/drained
END
mkdir other
init() { # CONFIG
    $sealgated init --config "$1" --origin sealgate.example --administrator "$dir/audit/first-administrator.pem" \
        --administrator "$dir/audit/second-administrator.pem"
}
sed '/^    log_certifier:/,+2d' shared >bare.yaml
init bare.yaml >said
has "its key is not certified by a key in a token" said
if $sealgated verify --config bare.yaml --certified-by "$certifier" >said 2>&1; then fail "a log without a certification"; fi
has "without a certification" said
ok "refused: $(tail -n 1 said)"
init shared >said # kept as it is
has "its key is not certified by a key in a token" said
rm -rf other/*

# Nobody sees the key, and nothing is signed by it.
sealgate keys list >said
! grep -q certifier said || fail "it is shown: $(cat said)"
ends 5 sealgate sign --key log-certifier --file notice.1 --out no.sig
[ ! -e no.sig ] || fail "it signed"
read -r _ type id <"$dir/token/log-certifier"
sed "s/^keys:\$/keys:\n  - name: log-certifier\n    token: softhsm\n    id: \"$id\"\n    type: $type/" shared >named.yaml
! $sealgated --check-config --config named.yaml >said 2>&1 || fail "a key that certifies may be named for callers"
has "must sign nothing else" said
ok "nobody has it sign anything else"

# Where the token cannot certify there is no log, and nothing of one.
not_made() { # TEXT CONFIG
    if init "$2" >said 2>&1; then fail "$2: a log is made"; fi
    has "$1" said
    [ -z "$(ls -A other)" ] || fail "$2 leaves $(ls -A other)"
    ok "not made: $(tail -n 1 said)"
}
sed "s/id: \"$id\"/id: \"00ff00\"/" shared >absent.yaml
not_made "cannot certify the log's key" absent.yaml
sed "/^    log_certifier:/,/^        type:/s/type: .*/type: rsa-2048/" shared >mistyped.yaml
not_made "cannot certify the log's key" mistyped.yaml
init shared >said
has "its key is certified by a key on token" said
cp other/log.key made.key
"$top/ops/dev" down >/dev/null 2>&1
rm -rf other/*
not_made "could not connect to the token process" shared

# Nor does an epoch begin; the old log stays as it was, and goes on.
accept() { $sealgated epoch accept --config "$config" --statement statement --approval first.approval --approval second.approval; }
$sealgated epoch state --config "$config" --why "The key is a year old." >statement 2>/dev/null
for name in first second; do
    sealgate audit approve statement --cert "$dir/pki/$name-administrator.pem" --cert-key "$dir/pki/$name-administrator.key" \
        --out $name.approval 2>/dev/null
done
cp "$dir/audit/anchor" anchor.before
if accept >said 2>&1; then fail "an epoch begins without its certification"; fi
has "cannot certify the log's key" said
ok "not begun: $(tail -n 1 said)"
cmp "$dir/audit/anchor" anchor.before || fail "the anchor was changed"
$sealgated verify --config "$config" >said
has "origin sealgate.example/main/1, anchor" said
"$top/ops/dev" up >/dev/null 2>&1
sealgate sign --key dev-p256 --file notice.1 --out sig.4 --receipt receipt.4 --log-key "$key"
accept >said
has "its key is certified by a key on token" said
new_key=$(sed -n 's/^its key, for those who verify: //p' said)
"$top/ops/dev" down >/dev/null 2>&1
"$top/ops/dev" up >/dev/null 2>&1
sealgate sign --key dev-p256 --file notice.2 --out sig.5 --receipt receipt.5 --log-key "$new_key"
sealgate audit show 0 --receipt second --log-key "$new_key" >/dev/null
ends 0 sealgate audit verify first receipt.4 second receipt.5 --certified-by "$certifier"
refused "give the receipt of leaf 0 too" first receipt.5 --certified-by "$certifier"
$sealgated verify --config "$config" --certified-by "$certifier" >said
[ "$(grep -c "its key is certified by the key that was given" said)" = 2 ] || fail "not each epoch: $(cat said)"
ok "and with its certification it begins"
