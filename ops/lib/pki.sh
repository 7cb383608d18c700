# A certificate authority for development and tests, by openssl's own command. Sourced, not run.
#
# Never for production: its key lies beside its certificates, unencrypted.
#
#   pki_make DIR                  the CA, a certificate for a server on this machine, an empty CRL
#   pki_client DIR NAME [FROM TO] a client certificate, SAN URI $pki_uri/NAME; FROM and TO are
#                                 YYYYMMDDHHMMSSZ, a year from now when not given
#   pki_revoke DIR NAME           revokes it and makes the CRL anew
#   pki_crl DIR                   makes the CRL anew: it is good for 30 days
#
# DIR then holds ca.pem ca.key ca.crl, server.pem server.key, and NAME.pem NAME.key per client.

pki_uri=spiffe://dev.sealgate.local/client

# openssl's own words are shown only when it fails.
pki_openssl() {
    local words
    words=$(openssl "$@" 2>&1) || { printf 'openssl %s:\n%s\n' "$1" "$words" >&2; return 1; }
}

pki_config() {
    cat >"$1/ca.cnf" <<END
[ca]
default_ca = dev
[dev]
dir = $1
database = $1/index.txt
new_certs_dir = $1/issued
certificate = $1/ca.pem
private_key = $1/ca.key
crlnumber = $1/crlnumber
rand_serial = yes
unique_subject = no
default_md = sha256
default_days = 365
default_crl_days = 30
crl_extensions = crl
policy = any
[any]
commonName = supplied
[crl]
authorityKeyIdentifier = keyid
[root]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = URI:\${ENV::PKI_URI}
END
}

# pki_issue DIR NAME EXTENSIONS [FROM TO]: a new key and its certificate.
pki_issue() {
    local dir=$1 name=$2 extensions=$3 dates=()
    [ $# -lt 5 ] || dates=(-startdate "$4" -enddate "$5")
    local -x PKI_URI=$pki_uri/$name
    pki_openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
        -keyout "$dir/$name.key.new" -out "$dir/$name.csr" || return
    pki_openssl ca -config "$dir/ca.cnf" -batch -notext -in "$dir/$name.csr" \
        -out "$dir/$name.pem.new" -extensions "$extensions" ${dates+"${dates[@]}"} || return
    rm "$dir/$name.csr"
    mv "$dir/$name.key.new" "$dir/$name.key"
    mv "$dir/$name.pem.new" "$dir/$name.pem"
}

pki_crl() {
    PKI_URI='' pki_openssl ca -config "$1/ca.cnf" -gencrl -out "$1/ca.crl.new" || return
    mv "$1/ca.crl.new" "$1/ca.crl"
}

# True when the certificate exists and is good for another week.
pki_lasts() { [ -f "$1" ] && openssl x509 -in "$1" -noout -checkend 604800 >/dev/null; }

pki_make() {
    local dir=$1
    mkdir -p "$dir/issued"
    pki_config "$dir" || return
    if ! pki_lasts "$dir/ca.pem"; then
        rm -f "$dir"/*.pem "$dir"/*.key
        : >"$dir/index.txt"
        echo 01 >"$dir/crlnumber"
        PKI_URI='' pki_openssl req -x509 -config "$dir/ca.cnf" -extensions root -days 3650 \
            -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/ca.key" \
            -out "$dir/ca.pem" -subj "/CN=Sealgate development CA" || return
    fi
    pki_lasts "$dir/server.pem" || pki_issue "$dir" server server || return
    pki_crl "$dir"
}

pki_client() {
    local dir=$1 name=$2
    shift 2
    pki_issue "$dir" "$name" client "$@"
}

pki_revoke() {
    PKI_URI='' pki_openssl ca -config "$1/ca.cnf" -revoke "$1/$2.pem" && pki_crl "$1"
}
