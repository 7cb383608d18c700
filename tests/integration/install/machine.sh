#!/usr/bin/env bash
# machine.sh: what docs/administration.md and the runbooks say of an installed machine, on one. As root on a
# bare Debian whose process 1 is systemd and which may be thrown away; ops/machine makes one. The packages
# lie in PACKAGES, this tree in SOURCE.
set -euo pipefail
packages=${PACKAGES:?} source=${SOURCE:?}
. "$source/ops/lib/pki.sh"
manual=$source/docs/administration.md
config=/etc/sealgate/sealgate.yaml

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
ok() { printf '%4d s  ok: %s\n' $SECONDS "$*"; }
within() { # SECONDS COMMAND...: until it succeeds
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}
# says FILE COMMAND [NAME=VALUE...]: runs a line that stands in FILE as it is here, but for names of the reader's own.
says() {
    local file=$1 command=$2 name
    grep -qF -- "$command" "$file" || fail "$file does not say: $command"
    for name in "${@:3}"; do command=${command//${name%%=*}/${name#*=}}; done
    eval "$command" || fail "$command"
}
manual() { says "$manual" "$@"; }
runbook() { says "$source/ops/runbooks/$1.md" "${@:2}"; }
finds() { grep "$@" >/dev/null; } # which reads to the end: with pipefail grep -q fails who still writes
end() {
    local rc=$?
    [ $rc = 0 ] || journalctl --no-pager -n 60 >&2
    exit $rc
}
trap end EXIT

work=$(mktemp -d)
cd "$work"
launcher() { systemctl show -p MainPID --value sealgate-gateway; }
gateway() { pgrep -o -P "$(launcher)" -f 'sealgated gateway'; }
token() { systemctl show -p MainPID --value "sealgate-token@${1:-hsm}"; }
is_active() { systemctl is-active --quiet "$@"; }
signs() { sealgate sign --key tax-2026 --file /etc/os-release --out s.sig >/dev/null 2>said; }
serves() { within 60 signs || fail "it does not sign: $(cat said)"; }
# replaced ROLE PID: that role is another process by now.
replaced() {
    local now
    now=$($1) && [ -n "$now" ] && [ "$now" != 0 ] && [ "$now" != "$2" ]
}
logged() { journalctl --no-pager -o cat -u sealgate-gateway --since "@$since" | finds -- "$1"; }
now() { date +%s; }
# under_load COMMAND...: no signature fails meanwhile.
under_load() {
    sealgate bench --key tax-2026 --connections 4 --concurrency 16 --duration "$seconds" --output json >bench.json 2>bench.err &
    local load=$!
    sleep 1
    "$@"
    kill -0 $load 2>/dev/null || fail "the load ended first: $(cat bench.json bench.err)"
    wait $load || { cat bench.json bench.err; fail "signatures failed: $*"; }
    grep -q '"failures": *0[,}]' bench.json || { cat bench.json; fail "signatures failed: $*"; }
}

# --- installing ---

install_packages() { apt-get install -q -y --no-install-recommends "$@" >apt.log 2>&1 || { cat apt.log; fail "apt: $*"; }; }
mkdir packages
cp "$packages"/*.deb packages/
install_packages ./packages/sealgate-gateway_*.deb ./packages/sealgate_*.deb
for unit in sealgate-gateway.service sealgate-gateway.socket sealgate-token@hsm.service sealgate-witness.service \
    sealgate-archive.timer; do
    [ "$(systemctl is-enabled $unit)" = disabled ] || fail "$unit is $(systemctl is-enabled $unit)"
    ! is_active $unit || fail "$unit was started"
done
[ "$(stat -c '%a %U %G' /run/sealgate)" = "2755 sealgate-token sealgate" ] || fail "/run/sealgate"
[ "$(stat -c '%a %U %G' /etc/sealgate/pins)" = "700 root root" ] || fail "/etc/sealgate/pins"
ok "installed, and nothing runs"

# What an office has: certificates, and a token with a key.
mkdir office
pki_make office
for name in portal first second; do pki_client office $name; done
cp office/first.pem office/second.pem .
cp office/server.key server.key
openssl rand -hex 16 >pin
openssl rand -hex 16 >so-pin
softhsm() { # NAME USER LABEL: a SoftHSM2 token in the folder of its state
    install -d -m 0700 -o "$2" -g "$2" "/var/lib/sealgate/$1" "/var/lib/sealgate/$1/objects"
    printf 'directories.tokendir = /var/lib/sealgate/%s/objects\nobjectstore.backend = file\n' "$1" >"/etc/sealgate/softhsm-$1.conf"
    echo "SOFTHSM2_CONF=/etc/sealgate/softhsm-$1.conf" >"/etc/sealgate/token-$1.env"
    chmod 0644 "/etc/sealgate/softhsm-$1.conf"
    install -m 0600 -o "$2" pin so-pin "/var/lib/sealgate/$1/"
    sudo -u "$2" SOFTHSM2_CONF="/etc/sealgate/softhsm-$1.conf" /usr/lib/sealgate/sealgate-devkeys \
        --module /usr/lib/softhsm/libsofthsm2.so --token "$3" --pin-file "/var/lib/sealgate/$1/pin" \
        --so-pin-file "/var/lib/sealgate/$1/so-pin" tax-2026:ec-p256
    rm "/var/lib/sealgate/$1/pin" "/var/lib/sealgate/$1/so-pin"
}
softhsm hsm sealgate-token sealgate >keys
id=$(awk '{ print $3; exit }' keys)

# "editor": every line without a "#", and the clock, which nobody keeps in such a machine.
install -m 0644 office/server.pem /etc/sealgate/tls_certificate.pem
install -m 0644 office/ca.pem /etc/sealgate/client-ca.pem
install -m 0644 office/ca.crl /etc/sealgate/client-ca.crl
sed -i -e 's|^\( *\)#crl_file: .*|\1crl_file: client-ca.crl|' -e "s|^    id: .*|    id: \"$id\"|" \
    -e "s|    uri: \"urn:example:tax-portal\"|    uri: $pki_uri/portal|" -e 's|^    #keys: .*|    keys: [tax-2026]|' \
    -e 's|^    methods: .*|    methods: [sealgate.v1.SigningService, sealgate.v1.KeyService, sealgate.v1.TokenService, sealgate.v1.AuditService]|' \
    -e 's|^#clock_sync_required: .*|clock_sync_required: false|' -e 's|^#request_id_retention_s: .*|request_id_retention_s: 60|' $config
manual 'install -m 0400 -o sealgate server.key /etc/sealgate/tls_key.pem'
manual 'install -m 0600 pin /etc/sealgate/pins/hsm'
manual 'sealgated --check-config --config /etc/sealgate/sealgate.yaml'
manual 'sealgated init --config /etc/sealgate/sealgate.yaml --origin sealgate.example.gov.vn --administrator first.pem --administrator second.pem' >init
log_key=$(sed -n 's/.*its key, for those who verify: //p' init)
manual 'systemctl enable --now sealgate-token@hsm sealgate-gateway'
export SEALGATE_ENDPOINT=127.0.0.1:8443 SEALGATE_CA=$work/office/ca.pem SEALGATE_CERT=$work/office/portal.pem \
    SEALGATE_KEY=$work/office/portal.key
serves
sealgate keys public-key tax-2026 --out key.pem
openssl dgst -sha256 -verify key.pem -signature s.sig /etc/os-release >/dev/null || fail "the signature is not valid"
sealgate keys csr tax-2026 --subject "CN=Tax 2026" --out csr.pem >/dev/null
openssl req -in csr.pem -verify -noout 2>/dev/null || fail "the certificate request is not valid"
[ "$(stat -c %U /proc/"$(gateway)" /proc/"$(token)" | xargs)" = "sealgate sealgate-token" ] || fail "the users of the processes"
ok "it signs as the manual installs it: $(systemctl show -p StatusText --value sealgate-gateway)"

# --- what the units allow ---

figures=$(sed -n 's/.*`systemd-analyze security` gives the token \([0-9.]*\) of 10 and the gateway \([0-9.]*\),.*/\1 \2/p' "$manual")
exposure() { systemd-analyze security --no-pager "$1" | sed -n 's/.*Overall exposure level for .*: \([0-9.]*\) .*/\1/p'; }
have="$(exposure sealgate-token@hsm.service) $(exposure sealgate-gateway.service)"
[ "$have" = "$figures" ] || [ "$(systemctl --version | awk 'NR == 1 { print $2 }')" != 252 ] ||
    fail "systemd-analyze security: $have; the manual says $figures"
# inside PID COMMAND...: as that process's user, in its mounts.
inside() { nsenter -t "$1" -m -S "$(stat -c %u "/proc/$1")" -G "$(stat -c %g "/proc/$1")" -- "${@:2}" 2>/dev/null; }
for process in "$(launcher)" "$(gateway)" "$(token)"; do
    grep -qE '^CapBnd:\s*0+$' "/proc/$process/status" || fail "capabilities of $process"
    grep -qE '^NoNewPrivs:\s*1$' "/proc/$process/status" || fail "new privileges for $process"
    grep -qE '^Seccomp:\s*2$' "/proc/$process/status" || fail "system calls of $process"
    for path in /etc /usr /var/lib /boot; do
        ! nsenter -t "$process" -m -- touch $path/.written 2>/dev/null || fail "$process may write to $path"
    done
    [ -z "$(nsenter -t "$process" -m -- find /root /home -mindepth 1)" ] || fail "$process sees homes"
    ! inside "$process" ls /proc/1 >/dev/null || fail "$process sees process 1"
    ! nsenter -t "$process" -m -- test -e /dev/kmsg || fail "$process sees devices"
done
! inside "$(gateway)" cat /run/credentials/sealgate-token@hsm.service/hsm-pin >/dev/null || fail "the gateway reads the PIN"
! sudo -u sealgate cat /run/credentials/sealgate-token@hsm.service/hsm-pin 2>/dev/null || fail "the gateway's user reads the PIN"
! sudo -u sealgate ls /var/lib/sealgate/hsm 2>/dev/null || fail "the gateway's user reads the token's folder"
! sudo -u sealgate-token ls /var/lib/sealgate/gateway 2>/dev/null || fail "the token's user reads the store"
grep -qE '^Max core file size +0 +0 ' "/proc/$(token)/limits" || fail "the token process may leave a core"
# Whoever is in the token's control group reaches no network.
group=/sys/fs/cgroup$(systemctl show -p ControlGroup --value sealgate-token@hsm)
reaches() { (echo "$BASHPID" >"$1/cgroup.procs" && exec timeout 3 bash -c ': <>/dev/tcp/127.0.0.1/8443') 2>/dev/null; }
reaches "/sys/fs/cgroup$(systemctl show -p ControlGroup --value sealgate-gateway)" || fail "nothing listens"
! reaches "$group" || fail "the token process reaches the network"
ok "the units allow no more than the manual says; systemd-analyze security: $have"

# --- reload, takeover, restart ---

serial() { openssl s_client -alpn h2 -connect 127.0.0.1:8443 </dev/null 2>/dev/null | openssl x509 -noout -serial; }
is_renewed() { [ "$(serial)" = "$(openssl x509 -in office/server.pem -noout -serial)" ]; }
pki_issue office server server
install -m 0644 office/server.pem /etc/sealgate/tls_certificate.pem
install -m 0400 -o sealgate office/server.key /etc/sealgate/tls_key.pem
! is_renewed || fail "it has the new certificate already"
manual 'systemctl reload sealgate-gateway'
within 10 is_renewed || fail "the certificate is the old one"
ok "reload"

takes_over() { # COMMAND: another gateway under the same launcher
    local first old
    first=$(launcher) old=$(gateway) since=$(now)
    "$@"
    within 60 logged launcher.takeover_done || fail "no takeover"
    within 60 replaced gateway "$old" || fail "the gateway is the old one"
    [ "$(launcher)" = "$first" ] || fail "the launcher is another"
}
seconds=8
under_load takes_over manual 'systemctl kill -s USR2 --kill-whom=main sealgate-gateway'
ok "takeover under load"

systemctl stop sealgate-gateway
systemctl enable --now sealgate-gateway.socket
systemctl start sealgate-gateway
serves
restarts() {
    local first
    first=$(launcher)
    manual 'systemctl restart sealgate-gateway'
    replaced launcher "$first" || fail "no restart"
}
seconds=15
under_load restarts
ok "a restart under load, with systemd's socket"

# --- processes that die or hang ---

for role in gateway launcher token; do
    old=$($role)
    kill -9 "$old"
    within 30 replaced $role "$old" || fail "$role: not started anew"
    serves
done
ok "processes that are killed"

hang() { # ROLE...
    local role
    local -A old
    since=$(now)
    for role in "$@"; do
        old[$role]=$($role)
        kill -STOP "${old[$role]}"
    done
    for role in "$@"; do within 120 replaced "$role" "${old[$role]}" || fail "$role hangs, and nobody sees to it"; done
    serves
}
hang gateway token
logged launcher.hung || fail "launcher.hung is not in the log"
hang launcher
ok "processes that hang"

# --- tokens ---

state() { sealgate tokens show "${1:-hsm}" | finds -E "state *$2"; }
openssl rand -hex 16 >/etc/sealgate/pins/hsm
systemctl restart sealgate-token@hsm
within 30 state hsm pin-latched || { sealgate tokens show hsm; fail "a wrong PIN is not latched"; }
systemctl restart sealgate-token@hsm
within 30 state hsm pin-latched || fail "the latch does not outlive a restart"
manual 'install -m 0600 pin /etc/sealgate/pins/hsm'
runbook pin-latched 'systemctl restart sealgate-token@NAME' NAME=hsm
serves
ok "a wrong PIN"
drop_in() { # UNIT: what systemctl edit would write, from the standard input
    mkdir -p "/etc/systemd/system/$1.d"
    cat >"/etc/systemd/system/$1.d/office.conf"
    systemctl daemon-reload
}
mkdir -p /etc/credstore.encrypted
manual 'systemd-creds encrypt --name=NAME PIN /etc/credstore.encrypted/NAME' NAME=hsm-pin PIN=pin
rm /etc/sealgate/pins/hsm
drop_in sealgate-token@hsm.service <<END
[Service]
LoadCredential=
LoadCredentialEncrypted=hsm-pin
END
systemctl restart sealgate-token@hsm
serves
ok "a PIN that is encrypted to the machine"

# A second token with the same key, of a user of its own.
useradd --system --no-create-home --shell /usr/sbin/nologin hsm-b
install -d -m 0700 -o hsm-b -g hsm-b /var/lib/sealgate/hsm-b
cp -a /var/lib/sealgate/hsm/objects /var/lib/sealgate/hsm-b/objects
chown -R hsm-b:hsm-b /var/lib/sealgate/hsm-b
sed 's/hsm/hsm-b/' /etc/sealgate/softhsm-hsm.conf >/etc/sealgate/softhsm-hsm-b.conf
echo SOFTHSM2_CONF=/etc/sealgate/softhsm-hsm-b.conf >/etc/sealgate/token-hsm-b.env
install -m 0600 pin /etc/sealgate/pins/hsm-b
grep -qF 'd /run/sealgate/NAME 2755 USER sealgate -' "$manual" || fail "the manual has another line for tmpfiles.d"
echo 'd /run/sealgate/hsm-b 2755 hsm-b sealgate -' >/etc/tmpfiles.d/hsm-b.conf
systemd-tmpfiles --create hsm-b.conf
drop_in sealgate-token@hsm-b.service <<END
[Service]
User=hsm-b
Group=hsm-b
END
sed -i -e "s|^keys:|  - name: hsm-b\n    module: /usr/lib/softhsm/libsofthsm2.so\n    uri: \"pkcs11:token=sealgate\"\n    pin_file: credential:hsm-b-pin\n    socket: /run/sealgate/hsm-b/sock\n    state_dir: /var/lib/sealgate/hsm-b\n    user: hsm-b\n&|" \
    -e "s|^    id: \"$id\"|&\n    copies:\n      - token: hsm-b|" $config
manual 'sealgated --check-config --config /etc/sealgate/sealgate.yaml'
systemctl enable --now sealgate-token@hsm-b
takes_over manual 'systemctl kill -s USR2 --kill-whom=main sealgate-gateway'
within 30 state hsm-b up || fail "hsm-b: $(sealgate tokens show hsm-b)"
[ "$(stat -c %U "/proc/$(token hsm-b)")" = hsm-b ] || fail "its user"
! sudo -u sealgate-token ls /var/lib/sealgate/hsm-b 2>/dev/null || fail "the other token's user reads its folder"
ok "a second token, of a user of its own"

runbook token-lost 'systemctl status sealgate-token@NAME' NAME=hsm-b >/dev/null
runbook token-lost 'journalctl -u sealgate-token@NAME' NAME=hsm-b | finds token.ready || fail "the journal"
maintenance() {
    sealgate tokens compare hsm-b hsm
    sealgate tokens drain hsm-b --reason "module 7.2"
    within 10 state hsm-b draining || fail "hsm-b: $(sealgate tokens show hsm-b)"
    runbook module-upgraded 'systemctl stop sealgate-token@NAME' NAME=hsm-b
    runbook module-upgraded 'systemctl start sealgate-token@NAME' NAME=hsm-b
    sealgate tokens resume hsm-b --reason "module 7.2"
    within 20 state hsm-b up || fail "hsm-b: $(sealgate tokens show hsm-b)"
    runbook pin-rotated 'systemctl restart sealgate-token@NAME' NAME=hsm-b
    within 20 state hsm-b up || fail "hsm-b: $(sealgate tokens show hsm-b)"
}
seconds=20
under_load maintenance
ok "a token is out of service and back, under load"

# --- the audit log ---

manual 'sealgated backup --to FOLDER' FOLDER="/var/lib/sunday --config $config"
drop_in sealgate-archive.service <<END
[Service]
Environment=SEALGATE_ARCHIVE_BEFORE=60s
END
manual 'systemctl enable --now sealgate-archive.timer'
systemctl list-timers --no-pager sealgate-archive.timer | finds sealgate-archive.service || fail "the timer waits for nothing"
manual 'systemctl start sealgate-archive.service'
sealgate audit verify /var/lib/sealgate/archive/*.export --log-key "$log_key" >/dev/null || fail "the archive is not proved"
[ "$(stat -c %U /var/lib/sealgate/archive/*.export | sort -u)" = sealgate ] || fail "whose the archive is"
serves
rc=0
sealgated verify --config "$config" >/dev/null 2>&1 || rc=$?
[ $rc = 3 ] || fail "archived leaves are taken for proved: $rc"
manual 'sealgated verify --archive /archive --config /etc/sealgate/sealgate.yaml' /archive=/var/lib/sealgate/archive >/dev/null
ok "archive: $(journalctl --no-pager -o cat -u sealgate-archive | grep -c '^archived:') files"

# The lines about a new epoch, with the backup as the store that was put back.
manual 'systemctl stop sealgate-gateway.socket sealgate-gateway; mv /var/lib/sealgate/gateway/store /var/lib/sealgate/gateway/store.broken'
manual 'sealgated restore --from /backup/sunday --config /etc/sealgate/sealgate.yaml' /backup/sunday=/var/lib/sunday
systemctl start --no-block sealgate-gateway
within 30 logged STORE_ROLLED_BACK || fail "it runs on a store that was put back"
systemctl stop sealgate-gateway.socket sealgate-gateway
manual "sealgated epoch state --why \"The disk died; Sunday's backup was put back.\" --config /etc/sealgate/sealgate.yaml > statement"
for name in first second; do
    manual 'sealgate audit approve statement --cert me.pem --cert-key me.key --out approval' me.pem=office/$name.pem me.key=office/$name.key "out approval=out $name.approval"
done
manual 'sealgated epoch accept --statement statement --approval first --approval second --config /etc/sealgate/sealgate.yaml' \
    "approval first=approval first.approval" "approval second=approval second.approval" >accepted
manual 'systemctl start sealgate-gateway'
systemctl start sealgate-gateway.socket 2>/dev/null || true
serves
manual 'sealgated verify --config /etc/sealgate/sealgate.yaml' | finds 'epoch 1' || fail "the epoch before is not told of"
ok "a new epoch"

# --- a witness ---

install -m 0644 office/server.pem /etc/sealgate/witness.pem
install -m 0400 -o sealgate-witness office/server.key /etc/sealgate/witness.key
sed -n '/^tls_certificate_file: witness.pem$/,/^```$/p' "$manual" | grep -v '^```$' >/etc/sealgate/witness.yaml
origin=$(sed -n 's/^.*, origin \([^ ]*\)$/\1/p' init)
origin=${origin%/1}/2
log_key=$(sed -n 's/^its key, for those who verify: //p' accepted)
sed -i -e "s|origin: .*|origin: $origin|" -e "s|keys: .*|keys: [\"$log_key\"]|" /etc/sealgate/witness.yaml
manual 'sudo -u sealgate-witness sealgated init witness --config /etc/sealgate/witness.yaml --origin witness.example/w1' >witness
manual 'systemctl enable --now sealgate-witness'
cat >>$config <<END
witnesses:
  - name: neighbour
    url: https://localhost:8445
    key: $(sed -n 's/^its public key.*: //p' witness)
    ca_file: client-ca.pem
witnesses_required: true
END
# "and then": in that order
manual 'systemctl restart sealgate-gateway'
serves
is_cosigned() { [ -s /var/lib/sealgate/anchor/checkpoint.cosigned ]; }
within 30 is_cosigned || { journalctl --no-pager -o cat -n 20 -u sealgate-witness >&2; fail "nothing is cosigned"; }
manual 'systemctl stop sealgate-gateway' # so that the witness is asked again at the start
systemctl start sealgate-gateway
serves
ok "a witness"

# --- what the units forbid was not wanted ---

# In place of an error, which a program may pass over in silence, a signal that nobody overlooks.
units=(sealgate-gateway sealgate-token@hsm sealgate-token@hsm-b sealgate-witness)
for unit in "${units[@]}" sealgate-archive; do
    mkdir -p "/etc/systemd/system/$unit.service.d"
    printf '[Service]\nSystemCallErrorNumber=\n' >"/etc/systemd/system/$unit.service.d/strict.conf"
done
systemctl daemon-reload
systemctl restart "${units[@]}"
serves
sealgate keys csr tax-2026 --subject "CN=Tax 2026" --out csr.pem >/dev/null
systemctl reload sealgate-gateway sealgate-witness
takes_over systemctl kill -s USR2 --kill-whom=main sealgate-gateway
serves
systemctl start sealgate-archive.service
kill -9 "$(gateway)"
serves
# As it is by default. Whether it signs then is the clock's to say, but it is asked.
sed -i 's/^clock_sync_required: false/clock_sync_required: true/' $config
takes_over systemctl kill -s USR2 --kill-whom=main sealgate-gateway
asks_the_clock() { signs || grep CLOCK_OUT_OF_ACCURACY said >/dev/null; }
within 20 asks_the_clock || fail "the clock cannot be asked for: $(cat said)"
sed -i 's/^clock_sync_required: true/clock_sync_required: false/' $config
systemctl stop "${units[@]}"
for unit in "${units[@]}" sealgate-archive; do
    rm "/etc/systemd/system/$unit.service.d/strict.conf"
    [ "$(systemctl show -p Result --value "$unit")" = success ] || fail "$unit ended by $(systemctl show -p Result --value "$unit")"
done
systemctl daemon-reload
systemctl start "${units[@]}"
serves
journalctl --no-pager -o cat -u 'sealgate-*' >journal
[ -s journal ] || fail "an empty journal"
! grep -E 'SYS|signal=31|Operation not permitted|Permission denied|Read-only file system|Bad system call' journal || fail "the journal tells of denials"
ok "no system call, file or right was missed"

# --- the next version, and the end ---

for deb in packages/sealgate-gateway_*.deb packages/sealgate_*.deb; do
    dpkg-deb -R "$deb" next
    sed -i 's/^Version: .*/&+next/' next/DEBIAN/control
    dpkg-deb -b next "$(basename "$deb" .deb)+next.deb" >/dev/null
    rm -r next
done
upgrade() {
    local first old_gateway old_token old_b
    first=$(launcher) old_gateway=$(gateway) old_token=$(token) old_b=$(token hsm-b) since=$(now)
    install_packages ./*+next.deb
    within 60 logged launcher.takeover_done || fail "no takeover after the upgrade"
    within 60 replaced gateway "$old_gateway" || fail "the gateway is the old one"
    [ "$(launcher)" = "$first" ] || fail "the launcher is another"
    [ "$(token)" != "$old_token" ] && [ "$(token hsm-b)" != "$old_b" ] || fail "a token process is the old one"
}
seconds=30
under_load upgrade
dpkg-query -W -f '${Version}\n' sealgate-gateway | finds +next || fail "no upgrade"
for name in launcher gateway token; do [ -n "$($name)" ] || fail "no $name"; done
ok "an upgrade under load"

apt-get remove -q -y sealgate-gateway >apt.log 2>&1 || { cat apt.log; fail "apt remove"; }
! pgrep -a sealgated || fail "the processes above run without a program"
! ss -tln | grep -E ':(8443|8445|9464) ' || fail "the ports above are open"
[ -f $config ] && [ -d /var/lib/sealgate/gateway/store ] || fail "the removal took what is not the package's"
ok "removed"
apt-get purge -q -y sealgate-gateway >apt.log 2>&1 || { cat apt.log; fail "apt purge"; }
[ ! -e $config ] && [ ! -e /run/sealgate ] || fail "the purge left the configuration"
[ -s /var/lib/sealgate/hsm/objects ] && [ -e /etc/sealgate/pins/hsm-b ] || fail "the purge took what may be keys"
grep -q 'left as it is' apt.log || fail "the purge does not say what it left"
! systemctl list-unit-files --no-legend 'sealgate*' | grep -v '^sealgate-token@hsm' | grep . || fail "units are left"
ok "purged: all passed on $(. /etc/os-release && echo "$PRETTY_NAME"), $(systemctl --version | head -n 1)"
