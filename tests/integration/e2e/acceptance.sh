#!/usr/bin/env bash
# A digest signed by a key in a token, through gRPC, verified by OpenSSL, the gateway and the client.
. "$(dirname "$0")/../lib.sh"
own_instance acceptance
cd "$work"
cp "$top/README.md" document

for key in dev-rsa2048 dev-rsa4096 dev-p256 dev-p384; do
    sealgate sign --key $key --file document --out $key.sig
    sealgate keys public-key $key >$key.pem
    openssl dgst -sha256 -verify $key.pem -signature $key.sig document >/dev/null ||
        fail "openssl does not verify the signature by $key"
    sealgate verify --key $key --file document --signature $key.sig >/dev/null ||
        fail "the gateway does not verify the signature by $key"
    sealgate verify --offline --public-key $key.pem --file document --signature $key.sig >/dev/null ||
        fail "the client does not verify the signature by $key"
    ! sealgate verify --key $key --file $key.pem --signature $key.sig >/dev/null 2>&1 ||
        fail "the gateway verifies another document's signature by $key"
    ok $key
done

head -c 4096 /dev/urandom >message
sealgate sign --key dev-ed25519 --file message --out ed.sig
sealgate keys public-key dev-ed25519 >ed.pem
openssl pkeyutl -verify -pubin -inkey ed.pem -rawin -in message -sigfile ed.sig >/dev/null ||
    fail "openssl does not verify the signature by dev-ed25519"
ok dev-ed25519

for key in dev-rsa2048 dev-p256; do
    sealgate keys csr $key --subject "CN=Phòng Hành chính,O=UBND tỉnh,C=VN" >$key.csr
    openssl req -in $key.csr -verify -noout 2>/dev/null || fail "openssl does not verify the request for $key"
    openssl req -in $key.csr -noout -subject -nameopt utf8,sep_comma_plus |
        grep -qF "CN=Phòng Hành chính,O=UBND tỉnh,C=VN" || fail "the request for $key has another subject"
    ok "certificate request for $key"
done

# Up again changes nothing, down and up again keeps the keys.
cp "$dir/token/keys" keys.before
"$top/ops/dev" up
"$top/ops/dev" down
"$top/ops/dev" up
cmp "$dir/token/keys" keys.before || fail "up made new keys"
sealgate keys public-key dev-p256 | cmp - dev-p256.pem || fail "up made a new dev-p256"
ok "keys are kept"
