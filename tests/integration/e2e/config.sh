#!/usr/bin/env bash
# --check-config says yes to what the daemon would start with, and where a bad file is bad.
. "$(dirname "$0")/../lib.sh"
own_instance config
cd "$work"
sealgated=$SEALGATE_BUILD/bin/sealgated

$sealgated --check-config --config "$dir/sealgate.yaml" || fail "a good configuration is refused"
ok "good configuration"
printf 'tls_certificate_file: pki/server.pem\ntls_key_file: pki/server.key\nwitness_listen: "127.0.0.1:8445"\nwitness_folder: witness\n' \
    >"$dir/witness.yaml"
$sealgated --check-config --config "$dir/witness.yaml" || fail "a witness's configuration is refused"
ok "a witness's configuration"

# refused NAME SED-EXPRESSION TEXT: the file so changed is refused, and the complaint names TEXT.
refused() {
    # Relative paths are taken from the folder of the file.
    sed -e "$2" "$dir/sealgate.yaml" >"$dir/bad.yaml"
    ! cmp -s "$dir/sealgate.yaml" "$dir/bad.yaml" || fail "$1: nothing was changed"
    if $sealgated --check-config --config "$dir/bad.yaml" >said 2>&1; then fail "$1 is accepted"; fi
    grep -qF -- "$3" said || { cat said; fail "$1: the complaint does not name \"$3\""; }
    ok "$1: $(head -n 1 said)"
}
refused "an option that does not exist" 's/^reflection:/reflexion:/' reflexion
refused "a value of another kind" 's/^reflection: true/reflection: maybe/' reflection
refused "a number out of its range" 's/^crl_reload_s: 1/crl_reload_s: 0/' crl_reload_s
refused "a file that is not there" 's/server\.pem/none.pem/' none.pem
refused "a key on a token that is not there" '0,/token: softhsm/s//token: nowhere/' nowhere
refused "a caller's key that is not there" 's/keys: \[dev-p256\]/keys: [dev-p257]/' dev-p257
refused "a caller's CA that is not there" '0,/ca: dev-ca/s//ca: other-ca/' other-ca
refused "a method that is none" 's,KeyService/GetKey$,KeyService/GetKeys,' KeyService/GetKeys
refused "a key of another certificate" 's,pki/server\.key,pki/dev.key,' dev.key
refused "a CA that is none" 's,file: pki/ca\.pem,file: pki/ca.crl,' ca.crl
refused "a CA that is a server" 's,file: pki/ca\.pem,file: pki/server.pem,' "not of a CA"
# What says that it is a CA, and whose key may not sign certificates.
printf '[req]\ndistinguished_name = dn\n[dn]\n[crls]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, cRLSign\n' >crls.cnf
openssl req -x509 -config crls.cnf -extensions crls -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout crls.key \
    -subj /CN=crls -days 2 -out "$dir/pki/crls-only.pem" 2>/dev/null
refused "a CA that signs no certificates" 's,file: pki/ca\.pem,file: pki/crls-only.pem,' "not of a CA"
refused "a token by its slot" '0,/uri: .*/s//uri: "pkcs11:slot-id=0"/' '"slot-id" is refused: slots change, say token= or serial='
refused "a token's URI with a key in it" '0,/uri: .*/s//uri: "pkcs11:token=sealgate-dev;object=a"/' "says more than token="
refused "an anchor in the store" 's,^audit_anchor_file: .*,audit_anchor_file: store/anchor,' "is in the store's folder"
refused "a key without its id" '0,/    id: .*/s///' id
if $sealgated --check-config --config "$dir/none.yaml" >said 2>&1; then fail "no file is accepted"; fi
ok "no file: $(head -n 1 said)"
