#!/usr/bin/env bash
# gateway.sh: installs the gateway's files into a staging folder and runs it from there: each file is
# where it is looked for, the pages are well made, and the default configuration needs no more than
# its lines without a "#" to become one that signs.
. "$(dirname "$0")/../lib.sh"
build=${SEALGATE_BUILD:?set by ctest}
stage=$build/gateway-install
rm -rf "$stage"
mkdir -p "$stage/work"
export DESTDIR=$stage/root
cmake --install "$build" --component sealgate-gateway >"$stage/log"
unset DESTDIR
prefix=$stage/root$(sed -n 's/^CMAKE_INSTALL_PREFIX:[A-Z]*=//p' "$build/CMakeCache.txt")
etc=$(dirname "$(find "$stage/root" -name sealgate.yaml)")
cd "$stage/work"

for file in sbin/sealgated lib/sealgate/sealgate-p11-shim.so lib/sealgate/sealgate-devkeys \
    share/man/man8/sealgated.8 share/man/man5/sealgate.yaml.5 \
    share/bash-completion/completions/sealgated; do
    [ -s "$prefix/$file" ] || fail "no $file"
done
ok "the files"

# What options.def names is in the page, each as a term.
sed -n 's/^OPTION_[A-Z]* *(\([a-z_]*\),.*/\1/p' "$top/gateway/config/options.def" >options
[ "$(wc -l <options)" -gt 30 ] || fail "only $(wc -l <options) options are read from options.def"
while read -r option; do
    grep -qxF "\\fB$option\\fR" "$prefix/share/man/man5/sealgate.yaml.5" || fail "sealgate.yaml(5) lacks $option"
done <options
if command -v man >/dev/null; then
    for page in man8/sealgated.8 man5/sealgate.yaml.5; do
        complaints=$(LC_ALL=C.UTF-8 MANROFFSEQ='' man --warnings -E UTF-8 -l "$prefix/share/man/$page" 2>&1 >/dev/null)
        [ -z "$complaints" ] || fail "$page: $complaints"
    done
fi
ok "the pages"

# offers EXPECTED WORD...: the last word is being written; all of EXPECTED is offered.
. "$prefix/share/bash-completion/completions/sealgated"
offers() {
    local expected=$1 word
    shift
    COMP_WORDS=(sealgated "$@") COMP_CWORD=$#
    COMPREPLY=()
    _sealgated || true # nothing offered
    for word in $expected; do
        printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"} | grep -qx -- "$word" ||
            fail "completion of sealgated $*: no $word in: ${COMPREPLY[*]-}"
    done
    [ -n "$expected" ] || [ ${#COMPREPLY[@]} = 0 ] || fail "completion of sealgated $*: ${COMPREPLY[*]}"
}
touch mine.yaml
offers "run gateway token --check-config --help" ""
offers "gateway" ga
offers "--config --help" gateway --
offers "mine.yaml" gateway --config mine
offers "" token h
ok "the completion"

# As it comes it is refused for the files and users that are not there, and for nothing else.
sealgated=$prefix/sbin/sealgated
if $sealgated --check-config --config "$etc/sealgate.yaml" >said 2>&1; then
    fail "the configuration is accepted before it was made one's own"
fi
! grep -vE 'could not (read|find) "|there is no user "' said || fail "the complaints above"
ok "the default configuration is refused: $(head -n 1 said)"

# Made one's own.
pki_make "$etc"
pki_client "$etc" operator
mkdir -p "$stage/objects" "$stage/state" "$etc/pins"
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$stage/objects" >"$stage/softhsm2.conf"
export SOFTHSM2_CONF=$stage/softhsm2.conf
umask 077
openssl rand -hex 16 >"$etc/pins/hsm"
openssl rand -hex 16 >"$stage/so-pin"
module=$(find /usr/lib /usr/lib64 -name libsofthsm2.so 2>/dev/null | head -n 1)
read -r _ _ id < <("$prefix/lib/sealgate/sealgate-devkeys" --module "$module" --token sealgate \
    --pin-file "$etc/pins/hsm" --so-pin-file "$stage/so-pin" tax-2026:ec-p256)
port=$(free_port)
sed -i -e "s|^#listen: .*|listen: 127.0.0.1:$port|" -e "s|^#metrics_listen: .*|metrics_listen: \"\"|" \
    -e 's|^tls_certificate_file: .*|tls_certificate_file: server.pem|' -e 's|^tls_key_file: .*|tls_key_file: server.key|' \
    -e 's|    file: client-ca.pem|    file: ca.pem|' -e 's|    #crl_file: .*|    crl_file: ca.crl|' \
    -e "s|    module: .*|    module: $module|" -e 's|    pin_file: .*|    pin_file: pins/hsm|' \
    -e "s|    socket: .*|    socket: $stage/hsm.sock|" -e "s|    state_dir: .*|    state_dir: $stage/state|" \
    -e "s|    id: .*|    id: \"$id\"|" -e "s|    uri: \"urn:.*|    uri: $pki_uri/operator|" \
    -e 's|    methods: .*|    methods: [sealgate.v1.SigningService, sealgate.v1.KeyService]|' \
    -e 's|    #keys: .*|    keys: [tax-2026]|' \
    -e '/^gateway_user: /d' -e '/^    user: /d' "$etc/sealgate.yaml"
cat >>"$etc/sealgate.yaml" <<END
store: sqlite:$stage/store
audit_key_file: $stage/audit/log.key
audit_anchor_file: $stage/anchor/checkpoint
clock_sync_required: false
END
$sealgated --check-config --config "$etc/sealgate.yaml" || fail "made one's own it is refused"

# Nothing is signed before there is a log.
if timeout 20 "$sealgated" gateway --config "$etc/sealgate.yaml" >"$stage/early.log" 2>&1; then
    fail "it starts without an audit log"
fi
grep -q 'sealgated init' "$stage/early.log" || fail "it does not say what is missing: $(tail -n 1 "$stage/early.log")"
for name in first second; do pki_client "$etc" "$name"; done
if "$sealgated" init --config "$etc/sealgate.yaml" --origin test.example --administrator "$etc/first.pem" \
    --administrator "$etc/first.pem" 2>"$stage/one.txt"; then
    fail "init takes one administrator for two"
fi
grep -q "two different administrators" "$stage/one.txt" || { cat "$stage/one.txt"; fail "no word of why"; }
"$sealgated" init --config "$etc/sealgate.yaml" --origin test.example --administrator "$etc/first.pem" \
    --administrator "$etc/second.pem" >"$stage/init.txt" || fail "sealgated init"
grep -q '^made the audit log "main", origin test.example/main/1$' "$stage/init.txt" || fail "init said: $(cat "$stage/init.txt")"
"$sealgated" init --config "$etc/sealgate.yaml" --administrator "$etc/first.pem" \
    --administrator "$etc/second.pem" | grep -q '^kept the audit log "main"' || fail "init twice makes two logs"
if "$sealgated" init --config "$etc/sealgate.yaml" --administrator "$etc/first.pem" 2>"$stage/one.txt"; then
    fail "one administrator is enough for init"
fi
ok "the audit log"

$sealgated run --config "$etc/sealgate.yaml" >"$stage/daemon.log" 2>&1 </dev/null &
daemon=$!
end() {
    local rc=$?
    trap - EXIT
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" || rc=1
    ! grep -nE -A 20 'ERROR: (Address|Leak)Sanitizer|runtime error:' "$stage/daemon.log" >&2 || rc=1
    [ $rc = 0 ] || tail -n 30 "$stage/daemon.log" >&2
    exit $rc
}
trap end EXIT
export SEALGATE_ENDPOINT=127.0.0.1:$port SEALGATE_CA=$etc/ca.pem SEALGATE_CERT=$etc/operator.pem \
    SEALGATE_KEY=$etc/operator.key
PATH=$build/bin:$PATH
within 20 sealgate health >/dev/null 2>&1 || fail "it does not serve"
sealgate sign --key tax-2026 --file "$top/README.md" --out sig
sealgate keys public-key tax-2026 --out key.pem
openssl dgst -sha256 -verify key.pem -signature sig "$top/README.md" >/dev/null || fail "the signature is not valid"
# The request is made by way of the library beside the program.
sealgate keys csr tax-2026 --subject "CN=Tax 2026" --out csr.pem
openssl req -in csr.pem -verify -noout 2>/dev/null || fail "the certificate request is not valid"
ok "it signs, and makes a certificate request"
