#!/bin/sh
# cli.sh PROGRAM: what the program says and how it ends without any gateway.
set -u
sealgate=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset SEALGATE_ENDPOINT SEALGATE_CA SEALGATE_CERT SEALGATE_KEY SEALGATE_SERVER_NAME SEALGATE_TOKEN_FILE SEALGATE_LOG_KEY
failed=0

# ends CODE ARGUMENT...: the exit code; what was said is in $work/out and $work/err.
ends() {
    expected=$1
    shift
    "$sealgate" "$@" >"$work/out" 2>"$work/err" </dev/null
    code=$?
    [ $code = "$expected" ] && return 0
    echo "sealgate $*: exit code $code, not $expected"
    cat "$work/err"
    failed=1
}
says() { grep -q -- "$2" "$work/$1" || { echo "no \"$2\" in: $(cat "$work/$1")"; failed=1; }; }
silent() { [ ! -s "$work/$1" ] || { echo "$1 should be empty: $(cat "$work/$1")"; failed=1; }; }

# Help is an answer: on standard output, with exit code 0, for every command.
ends 0 --help
says out "Exit codes:"
silent err
for command in sign verify "keys list" "keys show" "keys public-key" "keys csr" info health bench "token new" "audit verify" \
    "audit tail" "audit show" "audit find" "audit export" "audit checkpoint"; do
    ends 0 $command --help
    says out "^Usage: sealgate $command"
    ! grep -q "^Usage.* $" "$work/out" || { echo "sealgate $command: a blank behind its usage"; failed=1; }
    says out "Exit codes:"
    says out "--endpoint"
    silent err
done
# A word that only begins commands names these, and those of no other.
for group in keys tokens token audit; do
    ends 0 $group --help
    says out "^Usage: sealgate $group COMMAND"
    silent err
    sed -n 's/^  \([a-z]* [a-z-]*\) .*/\1/p' "$work/out" >"$work/listed"
    ends 0 --help
    sed -n "s/^  \($group [a-z-]*\) .*/\1/p" "$work/out" | cmp - "$work/listed" || { echo "sealgate $group --help"; failed=1; }
    [ -s "$work/listed" ] || { echo "sealgate $group --help lists nothing"; failed=1; }
    for rest in "" "--output json"; do
        ends 2 $group $rest
        says err "^Usage: sealgate $group COMMAND"
        says err "$(sed -n 1p "$work/listed")"
        silent out
    done
    ends 2 $group nothing
    says err "there is no command \"$group nothing\""
    says err "sealgate $group --help"
    silent out
done
ends 0 --version
says out "^sealgate [0-9]"

# A wrong command line says what is wrong and where to read on.
ends 2
says err "Usage:"
ends 2 sing
says err 'no command "sing"'
says err "sealgate --help"
[ "$(wc -l <"$work/err")" -le 3 ] || { echo "a screen of help hides: $(head -n 1 "$work/err")"; failed=1; }
ends 2 keys lst
ends 2 sign --kez x
says err 'no option "--kez"'
says err "sealgate sign --help"
silent out
ends 2 sign
says err "key NAME is missing"
ends 2 sign --key a --digest 00
ends 2 sign --key a --digest zz --algorithm sha256
ends 2 sign --key a --digest 00 --algorithm sha1
ends 2 sign --key a --file x --digest 00 --algorithm sha256
ends 2 sign --key a --hash sha1 --file x
ends 2 sign --key a --message --hash sha256
ends 2 sign --key a --encoding pem --file x
ends 2 sign --key a --format pem --file x
ends 2 sign --key a --scheme dsa --file x
ends 2 sign --key a --timeout 0 --file x
ends 2 sign --key a --output xml --file x
ends 2 sign --key a extra
ends 2 sign --key a --manifest list
says err "go together"
ends 2 sign --key a --results out
ends 2 sign --key a --resume
ends 2 sign --key a --concurrency 5
ends 2 sign --key a --manifest list --results out --concurrency 0
ends 2 sign --key a --manifest list --results out --concurrency 1001
ends 2 sign --key a --manifest list --results out --file x
says err "for one document"
ends 2 sign --key a --manifest list --results out --dry-run
ends 2 keys show
ends 2 keys show a b
ends 2 keys csr a
ends 2 keys csr a --subject nonsense
ends 2 verify --key a
ends 2 verify --signature x
ends 2 verify --key a --public-key b --signature x
ends 2 verify --key a --offline --signature x
ends 2 bench --key a --concurrency 0
ends 2 bench --key a --requests 5 --duration 5
ends 2 info
says err "SEALGATE_ENDPOINT"
ends 2 info --output json
says err '^{"error":{"code":"INVALID_ARGUMENT","reason":"BAD_OPTIONS"'

# Verifying offline, against OpenSSL's own signatures.
cd "$work" || exit 1
printf 'a document\n' >document
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem 2>/dev/null
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem 2>/dev/null
openssl genpkey -algorithm ED25519 -out ed.pem 2>/dev/null
for key in rsa ec ed; do openssl pkey -in $key.pem -pubout -out $key.pub; done
openssl req -new -x509 -key rsa.pem -subj /CN=offline -out rsa.crt 2>/dev/null
openssl dgst -sha256 -sign rsa.pem -out rsa.sig document
openssl dgst -sha512 -sign rsa.pem -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest \
    -out pss.sig document
openssl dgst -sha256 -sign ec.pem -out ec.sig document
openssl pkeyutl -sign -inkey ed.pem -rawin -in document -out ed.sig

ends 0 verify --offline --public-key rsa.pub --file document --signature rsa.sig
says out "^valid: document (rsa-2048)"
ends 0 verify --offline --certificate rsa.crt --file document --signature rsa.sig
ends 0 verify --offline --public-key rsa.pub --scheme rsa-pss --hash sha512 --file document \
    --signature pss.sig
ends 0 verify --offline --public-key ec.pub --file document --signature ec.sig
ends 0 verify --offline --public-key ed.pub --file document --signature ed.sig
ends 0 verify --offline --public-key ec.pub --signature ec.sig --algorithm sha256 \
    --digest "$(openssl dgst -sha256 -r document | cut -d' ' -f1)"
ends 1 verify --offline --public-key ec.pub --file ec.pub --signature ec.sig
says out "^NOT VALID"
ends 1 verify --offline --public-key ec.pub --file document --signature rsa.sig --output json
says out '^{"valid":false,"reason":"SIGNATURE_MALFORMED"'
ends 1 verify --offline --public-key rsa.pub --hash sha384 --file document --signature rsa.sig
ends 6 verify --offline --public-key ec.pub --scheme rsa-pss --file document --signature ec.sig
ends 9 verify --offline --public-key none.pub --file document --signature ec.sig
ends 9 verify --offline --public-key document --file document --signature ec.sig
ends 9 verify --offline --public-key ec.pub --file none --signature ec.sig
head -c 5000 /dev/zero >long
ends 6 verify --offline --public-key ed.pub --file long --signature ed.sig
says err "4096"
# A bearer token: made for its owner alone, never over another, and known by its hash.
ends 2 token new
says err "--out FILE is missing"
ends 0 token new --out "$work/a.token"
says out "^token_sha256: \[[0-9a-f]\{64\}\]\$"
[ "$(stat -c %a "$work/a.token")" = 600 ] || { echo "the token is not its owner's alone"; failed=1; }
hash=$(tr -d '\n' <"$work/a.token" | sha256sum | cut -d' ' -f1)
says out "$hash"
[ "$(tr -d '\n' <"$work/a.token" | wc -c)" = 43 ] || { echo "the token has not 43 characters"; failed=1; }
ends 9 token new --out "$work/a.token"
[ "$hash" = "$(tr -d '\n' <"$work/a.token" | sha256sum | cut -d' ' -f1)" ] || { echo "the token was replaced"; failed=1; }
ends 0 token new --out "$work/b.token" --output json
says out '"token_sha256": *"[0-9a-f]\{64\}"'
! cmp -s "$work/a.token" "$work/b.token" || { echo "two tokens are equal"; failed=1; }

# With a token no certificate is needed; what is half given still is.
ends 2 info --token-file "$work/a.token"
says err "--endpoint is missing"
ends 2 info --endpoint 127.0.0.1:1 --ca "$work/none.pem" --token-file "$work/a.token" --cert "$work/none.pem"
says err "--cert-key is missing"
ends 9 info --endpoint 127.0.0.1:1 --ca "$work/none.pem" --token-file "$work/none"
chmod 644 "$work/a.token"
ends 9 info --endpoint 127.0.0.1:1 --ca "$work/none.pem" --token-file "$work/a.token"
says err "mode 0600"
printf 'two words\n' >"$work/words"
chmod 600 "$work/words"
ends 9 info --endpoint 127.0.0.1:1 --ca "$work/none.pem" --token-file "$work/words"
says err "not one line with a token"

# Receipts and exports of an audit log, offline.
corpus=$(dirname "$0")/../../fuzz/corpus
receipt=$corpus/receipt/with_record
export=$corpus/export/good-3-9-300.export
forged=$corpus/export/forged.export
log_key=sealgate.example/log-1+c3c57014+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c
ends 2 audit verify
ends 2 audit verify "$receipt"
says err "--log-key is missing"
ends 2 audit verify "$receipt" --log-key no-key
ends 2 audit verify "$receipt" --log-key "$log_key" --any-log
ends 0 audit verify "$receipt" "$export" --log-key "$log_key"
says out "^$receipt: proved: leaf 3 of 7 in sealgate.example/log-1\$"
says out "^$export: proved: 6 leaves from 3 on, of 300 in sealgate.example/log-1\$"
says out "^document number *3/TB-CCT\$"
ends 0 audit verify "$export" --log-key "$log_key" --list
says out "^6 .* denial for spiffe://example.vn/back-office"
ends 0 audit verify "$export" --log-key "$log_key" --list --output json
says out '"leaf_index": *"8"'
says out '"signed_by_log": *true'
ends 1 audit verify "$forged" "$export" --log-key "$log_key"
says out "^$forged: NOT proved: the checkpoint is not signed by the log's key\$"
says out "^$export: proved"
ends 0 audit verify "$forged" --any-log
says out "signed by anybody"
head -c 1700 "$export" >"$work/cut.export"
ends 1 audit verify "$work/cut.export" --log-key "$log_key"
says out "ends too early"
sed 's/back-office/back-0ffice/' "$export" >"$work/changed.export"
ends 1 audit verify "$work/changed.export" --log-key "$log_key"
says out "NOT proved: leaf 3: a leaf is not what was in the log"
witness=witness.example/w1+0ad7d35e+BIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c
ends 2 audit verify "$receipt" --log-key "$log_key" --witness-key no-key
ends 2 audit verify "$receipt" --log-key "$log_key" --witness-key "$log_key"
says err "a log's, not a witness's"
ends 2 audit verify "$receipt" --log-key "$log_key" --witnesses 1
ends 2 audit verify "$receipt" --log-key "$log_key" --witness-key "$witness" --witnesses 2
ends 2 audit verify "$receipt" --log-key "$log_key" --witness-key "$witness" --witnesses 0
ends 1 audit verify "$receipt" "$export" --log-key "$log_key" --witness-key "$witness"
says out "^$receipt: NOT proved: 0 of the witnesses have cosigned it, and not 1\$"
says out "^$export: NOT proved: 0 of the witnesses"
ends 9 audit verify "$work/none" "$receipt" --log-key "$log_key"
ends 1 audit verify "$0" --log-key "$log_key"
# One byte that differs, wherever it is: each such file is refused, with a reason.
mkdir "$work/flips"
python3 - "$receipt" "$export" "$work/flips" <<'END'
import sys
for kind, path in zip(("receipt", "export"), sys.argv[1:]):
    data = open(path, "rb").read()
    for at in range(len(data)):
        with open("%s/%s.%d" % (sys.argv[3], kind, at), "wb") as file:
            file.write(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
END
flips=$(find "$work/flips" -type f | wc -l)
[ "$flips" -gt 3000 ] || { echo "only $flips files with a byte that differs"; failed=1; }
find "$work/flips" -type f | xargs -n 250 "$sealgate" audit verify --log-key "$log_key" >"$work/out" 2>"$work/err"
silent err
[ "$(grep -c ': NOT proved: [a-z]' "$work/out")" = "$flips" ] ||
    { echo "of $flips files with a byte that differs:"; grep -v ': NOT proved: [a-z]' "$work/out" | head; failed=1; }
for leaf in 3 4 5 6 7 8; do says out "export\.[0-9]*: NOT proved: leaf $leaf: "; done
rm -r "$work/flips"

export SEALGATE_LOG_KEY="$log_key"
ends 0 audit verify "$receipt"
# Held against a checkpoint that was kept: the receipt's own is one, and so is a note by itself.
sed '1,/^$/d' "$receipt" >"$work/checkpoint"
ends 0 audit verify "$work/checkpoint" "$receipt" --since "$receipt"
says out "^$work/checkpoint: proved: 7 leaves of sealgate.example/log-1\$"
ends 1 audit verify "$export" --since "$work/checkpoint"
says out "NOT proved: nothing shows"
ends 2 audit verify "$receipt" --growth "$work/checkpoint"
ends 1 audit verify "$receipt" --since "$work/checkpoint" --growth "$work/checkpoint"
ends 1 audit verify "$receipt" --since "$0"
sed 's/^7$/8/' "$work/checkpoint" >"$work/other"
ends 1 audit verify "$work/other"
says out "NOT proved: the checkpoint is not signed"
unset SEALGATE_LOG_KEY

exit $failed
